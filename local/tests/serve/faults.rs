//! A disk without room: nothing is done that could not be remembered, and it goes on when there is room.

use std::path::{Path, PathBuf};
use std::process::Command;

use lamplighter::demo::systemd::{Nature, State};

use super::street::Street;

/// A disk of 2 MiB. Unmounted when the test ends, however it ends.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None` where this user may not mount.
    fn mount(at: &Path) -> Option<SmallDisk> {
        std::fs::create_dir_all(at).unwrap();
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=2m,mode=700", "tmpfs"]).arg(at).output();
        mount.is_ok_and(|mount| mount.status.success()).then(|| SmallDisk(at.to_owned()))
    }

    fn fill(&self) {
        // Down to the last page: one large piece, then small ones.
        for (name, size) in [("filler", 64 * 1024), ("crumbs", 512)] {
            use std::io::Write as _;
            let mut file = std::fs::File::create(self.0.join(name)).unwrap();
            while file.write_all(&vec![b'x'; size]).is_ok() {}
        }
    }

    fn make_room(&self) {
        for name in ["filler", "crumbs"] {
            std::fs::remove_file(self.0.join(name)).unwrap();
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: the server that a failed test leaves behind is only killed later.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stderr, reason = "a test that could not be made must say so")]
async fn a_full_disk_is_told_of_nothing_is_restarted_and_all_goes_on_when_there_is_room() {
    let street = Street::new(&[("web", Nature::Sound)]).await;
    let Some(disk) = SmallDisk::mount(&street.home.data()) else {
        eprintln!("skipped: this user may not mount a small disk");
        return;
    };
    let server = street.home.serve();
    street.home.wait_for_status(&server, "web", "healthy");
    disk.fill();
    street.host.systemd().crash("web");
    server.said.wait_for("the disk under the data file is full");
    assert_eq!(street.host.systemd().restarts("web"), 0, "what cannot be remembered is not done");
    assert_eq!(street.host.systemd().state("web"), Some(State::Failed));
    disk.make_room();
    street.home.wait_for_letters(&server, "recovered", 1);
    street.home.wait_for_status(&server, "web", "healthy");
    assert_eq!(street.host.systemd().restarts("web"), 1);
    assert!(server.terminate().0.success());
}
