//! The tools: the emulator, SAM, and cargo's way to build functions.

use std::path::PathBuf;
use std::process::Command;

/// Where the tools are.
pub(crate) struct Tools {
    folder: PathBuf,
}

/// The folder that `.ci/aws-tools` has filled. Where there is none, that is said, and nothing is tried; where everything must
/// be shown, nothing may be left out.
#[expect(clippy::print_stderr, reason = "what was not tried must be said")]
pub(crate) fn find() -> Option<Tools> {
    let Some(folder) = std::env::var_os("LAMPLIGHTER_AWS_TOOLS") else {
        assert!(std::env::var_os("LAMPLIGHTER_CI").is_none(), "`LAMPLIGHTER_AWS_TOOLS` is not set");
        eprintln!("skipped: `LAMPLIGHTER_AWS_TOOLS` names no folder with the tools of AWS");
        return None;
    };
    let folder = PathBuf::from(folder);
    assert!(folder.join("emulator/bin/ministack").exists(), "`{}` has no emulator in it", folder.display());
    Some(Tools { folder })
}

impl Tools {
    /// A tool of the emulator's world.
    pub(crate) fn emulator(&self) -> Command {
        Command::new(self.folder.join("emulator/bin/ministack"))
    }

    /// Cargo's way to build functions, and SAM's through it.
    pub(crate) fn cargo_lambda(&self) -> Command {
        let mut cargo = Command::new("cargo");
        cargo.arg("lambda");
        self.prepare(&mut cargo);
        cargo
    }

    /// SAM, told of nobody's account.
    pub(crate) fn sam(&self, home: &std::path::Path) -> Command {
        let mut sam = Command::new(self.folder.join("sam/bin/sam"));
        self.prepare(&mut sam);
        // Cargo keeps what it has fetched below HOME, unless told where; only SAM's own settings go elsewhere.
        sam.env("SAM_CLI_TELEMETRY", "0").env("__SAM_CLI_APP_DIR", home.join("sam"));
        sam
    }

    fn prepare(&self, command: &mut Command) {
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{path}", self.folder.join("emulator/bin").display()));
        command.env("CARGO_LAMBDA_COMPILER", "cargo").env("CARGO_NET_OFFLINE", "true");
        // The functions are measured by nobody here.
        command.env_remove("RUSTC_WORKSPACE_WRAPPER").env_remove("LLVM_PROFILE_FILE");
    }
}
