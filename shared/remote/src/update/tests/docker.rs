//! Containers. No engine runs where these tests do: `docker` is a stand-in that writes down how it was called and plays
//! one container. What is shown is what we ask of it and how we read its answers, not that Docker does it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::fs::symlink;

use lamplighter_core::Version;
use lamplighter_core::update::{NotResolved, UpdateStep, Wanted};
use serde_json::json;

use super::bench::{Asked, Bench, FIRST_RUN, done, failed, run, untouched};

fn digest(letter: &str) -> Version {
    format!("sha256:{}", letter.repeat(64)).parse().unwrap()
}

/// A compose project in `app`, whose container runs the image of `letter`.
fn project(letter: &str) -> Bench {
    let mut bench = Bench::new();
    let mut spec = serde_json::to_value(&bench.spec).unwrap();
    spec["update"] = json!({"docker": "ghcr.io/acme/web", "dir": bench.path("app"), "service": "web"});
    spec["restart"] = json!("never");
    spec["check"] = json!({"tcp": 80});
    bench.spec = serde_json::from_value(spec).unwrap();
    fs::write(bench.path("app/compose.yaml"), "services: {web: {image: \"${LAMPLIGHTER_IMAGE}\"}}\n")
        .unwrap();
    bench.write("image", &format!("ghcr.io/acme/web@{}\n", digest(letter)));
    bench.tool(
        "docker",
        "echo \"$*\" >>$STATE/docker\ncase \"$*\" in\n\
         'compose version') ;;\n\
         'compose ps '*) cat $STATE/container 2>/dev/null ;;\n\
         'inspect '*StartedAt*) cat $STATE/run ;;\n\
         'inspect '*Config.Image*) cat $STATE/image ;;\n\
         'inspect '*.Image*) echo sha256:1234 ;;\n\
         'image inspect -f '*) cat $STATE/digests 2>/dev/null ;;\n\
         'image inspect '*) grep -qsF \"$3\" $STATE/local ;;\n\
         'pull '*) [ -e $STATE/refuse ] && { cat $STATE/refuse >&2; exit 1; }; echo \"$3\" >>$STATE/local ;;\n\
         'manifest '*) [ -e $STATE/refuse ] && { cat $STATE/refuse >&2; exit 1; }; echo '{}' ;;\n\
         'compose up '*) echo \"$LAMPLIGHTER_IMAGE\" >$STATE/image; echo cccc3333 >$STATE/run ;;\n\
         *) echo \"unexpected: $*\" >&2; exit 64 ;;\n\
         esac",
    );
    bench.write("container", "0123456789ab\n");
    bench
}

#[test]
fn a_container_goes_to_another_digest_and_back() {
    let bench = project("a");
    let (old, new) = (digest("a"), digest("b"));
    let standing = bench.standing().unwrap();
    assert_eq!((standing.version, standing.process, standing.obstacle), (old.clone(), run(FIRST_RUN), None));
    fs::write(bench.path("app/.env"), "PORT=80\nLAMPLIGHTER_IMAGE=old\nNAME=x").unwrap();
    fs::set_permissions(bench.path("app/.env"), fs::Permissions::from_mode(0o640)).unwrap();
    assert_eq!(bench.make(&Asked::forward(1, UpdateStep::CheckOut, &new, &old)), done(FIRST_RUN));
    assert_eq!(bench.read("docker").matches("pull --quiet ghcr.io/acme/web@sha256:bbbb").count(), 1);
    let judged = run(FIRST_RUN);
    let restart = Asked { process: judged.as_ref(), ..Asked::forward(2, UpdateStep::Restart, &new, &old) };
    assert_eq!(bench.make(&restart), done("cccc3333"));
    assert!(bench.read("docker").contains("compose up -d --no-deps --force-recreate web\n"));
    assert_eq!(bench.app(".env"), format!("PORT=80\nNAME=x\nLAMPLIGHTER_IMAGE=ghcr.io/acme/web@{new}\n"));
    assert_eq!(fs::metadata(bench.path("app/.env")).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(bench.standing().unwrap().version, new);
    // Back: what is there already is not pulled again.
    bench.write("local", &format!("ghcr.io/acme/web@{old}\n"));
    bench.write("refuse", "no network\n");
    assert_eq!(bench.make(&Asked::back(3, UpdateStep::CheckOut, &new, &old)), done("cccc3333"));
    let judged = run("cccc3333");
    let restart = Asked { process: judged.as_ref(), ..Asked::back(4, UpdateStep::Restart, &new, &old) };
    assert_eq!(bench.make(&restart), done("cccc3333"));
    assert_eq!(bench.app(".env"), format!("PORT=80\nNAME=x\nLAMPLIGHTER_IMAGE=ghcr.io/acme/web@{old}\n"));
    assert_eq!(bench.standing().unwrap().version, old);
}

#[test]
fn an_image_that_cannot_be_pulled_changes_nothing_on_the_way_there_and_fails_on_the_way_back() {
    let bench = project("a");
    bench.write("refuse", "Error response from daemon: manifest unknown\n");
    let outcome = bench.make(&Asked::forward(1, UpdateStep::CheckOut, &digest("b"), &digest("a")));
    assert!(untouched(&outcome).contains("manifest unknown"), "{outcome:?}");
    let outcome = bench.make(&Asked::back(2, UpdateStep::CheckOut, &digest("b"), &digest("a")));
    assert!(failed(&outcome).contains("cannot be pulled"), "{outcome:?}");
}

#[test]
fn a_container_made_by_a_tag_is_known_by_the_digest_of_its_registry() {
    let bench = project("a");
    bench.write("image", "ghcr.io/acme/web:latest\n");
    assert!(bench.standing().unwrap_err().contains("was not made from a digest"));
    let digests = format!("docker.io/other/web@{}\nghcr.io/acme/web@{}\n", digest("c"), digest("d"));
    bench.write("digests", &digests);
    assert_eq!(bench.standing().unwrap().version, digest("d"));
}

#[test]
fn what_is_missing_is_said() {
    let bench = project("a");
    fs::write(bench.path("app/compose.yaml"), "services: {web: {image: nginx}}\n").unwrap();
    assert!(bench.standing().unwrap().obstacle.unwrap().contains("`${LAMPLIGHTER_IMAGE}`"));
    bench.write("container", "");
    assert!(bench.standing().unwrap_err().contains("no container"));
    fs::rename(bench.path("app"), bench.path("gone")).unwrap();
    assert!(bench.standing().unwrap_err().contains("compose project"));
    let outcome = bench.make(&Asked::forward(1, UpdateStep::Restart, &digest("b"), &digest("a")));
    assert!(untouched(&outcome).contains("compose project"), "{outcome:?}");
}

#[test]
fn an_environment_file_that_is_a_link_stays_one() {
    let bench = project("a");
    fs::write(bench.path("state/shared.env"), "A=1\n").unwrap();
    symlink(bench.path("state/shared.env"), bench.path("app/.env")).unwrap();
    bench.make(&Asked::forward(1, UpdateStep::Restart, &digest("b"), &digest("a")));
    assert!(fs::symlink_metadata(bench.path("app/.env")).unwrap().is_symlink());
    assert_eq!(
        bench.read("shared.env"),
        format!("A=1\nLAMPLIGHTER_IMAGE=ghcr.io/acme/web@{}\n", digest("b"))
    );
}

#[test]
fn a_registry_that_does_not_know_is_told_from_one_that_does_not_answer() {
    let bench = project("a");
    let wanted = Wanted::Version(digest("b"));
    assert_eq!(bench.resolve(&wanted), Ok(digest("b")));
    bench.write("refuse", "no such manifest: ghcr.io/acme/web@sha256:bb\n");
    assert!(
        matches!(bench.resolve(&wanted), Err(NotResolved::Unknown(why)) if why.contains("registry has no"))
    );
    bench.write("refuse", "dial tcp: connection refused\n");
    assert!(matches!(bench.resolve(&wanted), Err(NotResolved::NoRemote(why)) if why.contains("refused")));
}
