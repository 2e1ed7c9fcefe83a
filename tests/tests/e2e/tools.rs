//! The tools: the emulator, SAM, and cargo's way to build functions.

use std::path::PathBuf;
use std::process::Command;

/// Where the tools are.
pub(crate) struct Tools {
    folder: PathBuf,
    /// What the functions are compiled for.
    pub(crate) architecture: Architecture,
}

/// An architecture of Lambda's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Architecture {
    Arm64,
    X86,
}

impl Architecture {
    /// This machine's.
    const OWN: Architecture =
        if cfg!(target_arch = "aarch64") { Architecture::Arm64 } else { Architecture::X86 };

    /// The one that is asked for: that of this machine, unless `LAMPLIGHTER_ARCHITECTURE` names the other, whose programs
    /// this machine must then know how to run.
    fn asked_for() -> Architecture {
        match std::env::var("LAMPLIGHTER_ARCHITECTURE").as_deref() {
            Ok("arm64") => Architecture::Arm64,
            Ok("x86_64") => Architecture::X86,
            Ok(other) => panic!("`LAMPLIGHTER_ARCHITECTURE` is `{other}`, neither `arm64` nor `x86_64`"),
            Err(_) => Architecture::OWN,
        }
    }

    /// The template's parameter.
    pub(crate) fn parameter(self) -> &'static str {
        match self {
            Architecture::Arm64 => "Architecture=arm64",
            Architecture::X86 => "Architecture=x86_64",
        }
    }

    /// The flag of cargo-lambda.
    pub(crate) fn flag(self) -> &'static str {
        match self {
            Architecture::Arm64 => "--arm64",
            Architecture::X86 => "--x86-64",
        }
    }
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
    Some(Tools { folder, architecture: Architecture::asked_for() })
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
        command.env("CARGO_NET_OFFLINE", "true");
        if self.architecture == Architecture::OWN {
            // The machine's own compiler and linker will do.
            command.env("CARGO_LAMBDA_COMPILER", "cargo");
        }
        // The functions are measured by nobody here.
        command.env_remove("RUSTC_WORKSPACE_WRAPPER").env_remove("LLVM_PROFILE_FILE");
    }
}
