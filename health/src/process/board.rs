//! Which board this is.

use std::path::Path;

use super::probe::read_line;

/// The board's name as its firmware gives it: the device tree's model, else vendor and product of
/// a PC; `None` in most containers.
pub fn name() -> Option<String> {
    name_below(Path::new("/"))
}

/// The same for the machine whose root is this folder.
pub fn name_below(root: &Path) -> Option<String> {
    let dmi = root.join("sys/class/dmi/id");
    read_line(&root.join("proc/device-tree/model"))
        .or_else(|| read_line(&root.join("sys/firmware/devicetree/base/model")))
        .or_else(|| {
            let product = read_line(&dmi.join("product_name"))?;
            Some(match read_line(&dmi.join("sys_vendor")) {
                Some(vendor) if !product.starts_with(&vendor) => format!("{vendor} {product}"),
                _ => product,
            })
        })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn device_tree_before_dmi() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(name_below(root.path()), None);
        let put = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        put("sys/class/dmi/id/product_name", "NUC11\n");
        assert_eq!(name_below(root.path()).unwrap(), "NUC11");
        put("sys/class/dmi/id/sys_vendor", "Intel\n");
        assert_eq!(name_below(root.path()).unwrap(), "Intel NUC11");
        put("proc/device-tree/model", "Raspberry Pi 5 Model B Rev 1.0\0");
        assert_eq!(
            name_below(root.path()).unwrap(),
            "Raspberry Pi 5 Model B Rev 1.0"
        );
    }
}
