//! Where a test wants this process to die; development builds alone can.

use groupfold_schemas::crash;

use crate::config;
use crate::exit::Failure;

const VARIABLE: &str = "GROUPFOLD_CRASH";

/// Arms what the environment names. A release build refuses to start with it, so that nobody believes to have tested.
pub(crate) fn arm() -> Result<(), Failure> {
    let Some(spec) = config::variable(VARIABLE) else { return Ok(()) };
    crash::arm(&spec).map_err(|error| Failure::Usage(format!("{VARIABLE}: {error}")))
}
