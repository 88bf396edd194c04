//! Tensors out of a safetensors file, with shapes and finiteness checked.

use std::path::{Path, PathBuf};

use safetensors::{Dtype, SafeTensors};

use super::PackError;

/// What one axis of a tensor must be.
#[derive(Clone, Copy, Debug)]
pub enum Dim {
    /// Exactly this size.
    Is(usize),
    /// Any size from 1 to the maximum, under this name in messages.
    UpTo(&'static str, usize),
}

/// A tensor's values in row-major order and its shape.
#[derive(Clone, Debug)]
pub struct Tensor<T> {
    /// Axis sizes.
    pub shape: Vec<usize>,
    /// Values.
    pub data: Vec<T>,
}

/// A safetensors file in memory.
pub struct TensorFile {
    path: PathBuf,
    bytes: Vec<u8>,
    prefix: String,
}

impl TensorFile {
    /// Checks the header of `bytes`, which came from `path`.
    ///
    /// # Errors
    /// When the file is truncated or not safetensors.
    pub fn parse(path: PathBuf, bytes: Vec<u8>) -> Result<Self, PackError> {
        match SafeTensors::deserialize(&bytes) {
            Ok(_) => Ok(Self {
                path,
                bytes,
                prefix: String::new(),
            }),
            Err(e) => Err(PackError::tensor(
                &path,
                format!(
                    "not a whole safetensors file ({e}, {} bytes); restore the file",
                    bytes.len()
                ),
            )),
        }
    }

    /// The same file seen through a name prefix: `f32("x")` reads tensor `<prefix>x`.
    pub fn under(mut self, prefix: &str) -> Self {
        prefix.clone_into(&mut self.prefix);
        self
    }

    /// The file's path, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether a tensor of this name is present.
    pub fn has(&self, name: &str) -> bool {
        SafeTensors::deserialize(&self.bytes)
            .is_ok_and(|t| t.tensor(&format!("{}{name}", self.prefix)).is_ok())
    }

    /// An f32 tensor; all values finite.
    ///
    /// # Errors
    /// When it is missing, of another type or shape, or not finite.
    pub fn f32(&self, name: &str, dims: &[Dim]) -> Result<Tensor<f32>, PackError> {
        let tensor = self.get(name, Dtype::F32, dims, |b| {
            f32::from_le_bytes([b[0], b[1], b[2], b[3]])
        })?;
        if let Some(i) = tensor.data.iter().position(|x| !x.is_finite()) {
            return Err(PackError::tensor(
                &self.path,
                format!(
                    "tensor `{name}` holds {} at flat index {i}, expected finite numbers; re-make the file",
                    tensor.data[i]
                ),
            ));
        }
        Ok(tensor)
    }

    /// A u32 tensor.
    ///
    /// # Errors
    /// When it is missing or of another type or shape.
    pub fn u32(&self, name: &str, dims: &[Dim]) -> Result<Tensor<u32>, PackError> {
        self.get(name, Dtype::U32, dims, |b| {
            u32::from_le_bytes([b[0], b[1], b[2], b[3]])
        })
    }

    /// An i32 tensor.
    ///
    /// # Errors
    /// When it is missing or of another type or shape.
    pub fn i32(&self, name: &str, dims: &[Dim]) -> Result<Tensor<i32>, PackError> {
        self.get(name, Dtype::I32, dims, |b| {
            i32::from_le_bytes([b[0], b[1], b[2], b[3]])
        })
    }

    /// A u8 tensor.
    ///
    /// # Errors
    /// When it is missing or of another type or shape.
    pub fn u8(&self, name: &str, dims: &[Dim]) -> Result<Tensor<u8>, PackError> {
        self.get(name, Dtype::U8, dims, |b| b[0])
    }

    fn get<T>(
        &self,
        name: &str,
        dtype: Dtype,
        dims: &[Dim],
        read: impl Fn(&[u8]) -> T,
    ) -> Result<Tensor<T>, PackError> {
        let fault = |message: String| PackError::tensor(&self.path, message);
        let file = SafeTensors::deserialize(&self.bytes).map_err(|e| fault(e.to_string()))?;
        let view = file
            .tensor(&format!("{}{name}", self.prefix))
            .map_err(|_| fault(format!("tensor `{name}` is missing; re-make the file")))?;
        if view.dtype() != dtype {
            return Err(fault(format!(
                "tensor `{name}` has type {:?}, expected {dtype:?}; re-make the file",
                view.dtype()
            )));
        }
        let fits = view.shape().len() == dims.len()
            && view
                .shape()
                .iter()
                .zip(dims)
                .all(|(&found, dim)| match *dim {
                    Dim::Is(n) => found == n,
                    Dim::UpTo(_, max) => (1..=max).contains(&found),
                });
        if !fits {
            let expected: Vec<String> = dims
                .iter()
                .map(|d| match d {
                    Dim::Is(n) => n.to_string(),
                    Dim::UpTo(what, max) => format!("{what} (1 to {max})"),
                })
                .collect();
            return Err(fault(format!(
                "tensor `{name}` has shape {:?}, expected [{}]; re-make the file for this pack",
                view.shape(),
                expected.join(", ")
            )));
        }
        let data = view.data().chunks_exact(size_of::<T>()).map(read).collect();
        Ok(Tensor {
            shape: view.shape().to_vec(),
            data,
        })
    }
}
