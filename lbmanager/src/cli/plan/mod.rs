//! `lbmanager plan`.
pub(super) const EXAMPLE: &str = "";
#[derive(Debug, Clone, clap::Args)]
pub struct PlanArgs {}
pub(super) async fn run(
    _: PlanArgs,
) -> Result<std::process::ExitCode, presence::process::exit::Failure> {
    Ok(std::process::ExitCode::SUCCESS)
}
