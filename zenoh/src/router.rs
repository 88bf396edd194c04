//! `router`: passes samples on between everyone who connects. For tests and small sites.

use crate::config::Link;
use crate::session::{Role, SessionError, Setup, close};
use crate::stop::Stop;

/// Routes until told to stop; says once on `log` where it listens.
///
/// # Errors
/// [`SessionError`] where the port is taken or the configuration cannot be used.
pub async fn route(
    link: &Link,
    mut stop: Stop,
    mut log: impl FnMut(&str),
) -> Result<(), SessionError> {
    let setup = Setup::new(link, Role::Router)?;
    let listening = format!("router listens on {}", setup.endpoints);
    let session = setup.open().await?;
    log(&listening);
    stop.requested().await;
    close(session).await;
    Ok(())
}
