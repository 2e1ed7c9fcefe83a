//! A container of a compose project, brought to another image by its digest.

use lamplighter_core::Version;
use lamplighter_core::update::{DockerUpdate, Way};

use super::quoted;
use crate::UpdateOrder;

/// Goes to the project and makes `compose`, by whichever name the host knows it. Leans on `refuse`.
fn entered(docker: &DockerUpdate) -> String {
    format!(
        "service={service}\n\
         command -v docker >/dev/null 2>&1 || refuse no-docker\n\
         cd {dir} 2>/dev/null || refuse no-project\n\
         {COMPOSE}",
        service = quoted(docker.service.as_str()),
        dir = quoted(&docker.dir),
    )
}

const COMPOSE: &str = "\
if docker compose version >/dev/null 2>&1 9<&-; then compose='docker compose'; else compose=docker-compose; fi
";

/// The question which run of the service's container is there.
pub(super) fn run_question(docker: &DockerUpdate) -> String {
    format!(
        "cd {dir} && docker inspect --type container -f {format} \"$(docker compose ps -q {service} | head -n 1)\"",
        dir = quoted(&docker.dir),
        format = quoted("{{.State.StartedAt}}"),
        service = quoted(docker.service.as_str()),
    )
}

/// Asks which image the container was made from: by the digest it was asked for, else by the digests of its image.
pub(super) fn standing(docker: &DockerUpdate) -> String {
    format!("{}{STANDING}", entered(docker))
}

const STANDING: &str = "\
said=$($compose ps -a -q \"$service\" 2>&1) || refuse compose \"$(printf '%s\\n' \"$said\" | complaint)\"
id=$(printf '%s\\n' \"$said\" | grep -E '^[0-9a-f]{12,64}$' | head -n 1)
[ -n \"$id\" ] || refuse no-container
say image \"$(docker inspect --type container -f '{{.Config.Image}}' \"$id\" 2>/dev/null | head -n 1 | clean)\"
docker image inspect -f '{{range .RepoDigests}}{{println .}}{{end}}' \"$(docker inspect --type container -f '{{.Image}}' \"$id\" 2>/dev/null)\" 2>/dev/null | grep . | head -n 20 | while read -r digest; do
  say digest \"$digest\"
done
grep -qs LAMPLIGHTER_IMAGE ./*.yml ./*.yaml || say obstacle no-variable
";

/// Asks whether the registry has an image of that digest.
pub(super) fn resolving(docker: &DockerUpdate, version: &Version) -> String {
    format!(
        "command -v docker >/dev/null 2>&1 || refuse no-docker\n\
         image={image}\nwanted={wanted}\n{RESOLVING}",
        image = quoted(&named(docker, version)),
        wanted = quoted(version.as_str()),
    )
}

const RESOLVING: &str = "\
if ! docker image inspect \"$image\" >/dev/null 2>&1; then
  said=$(docker manifest inspect \"$image\" 2>&1 >/dev/null) || {
    case $said in
      *'manifest unknown'*|*'no such manifest'*|*'not found'*) say unknown no-image; say end; exit 0 ;;
      *) refuse silent-registry \"$(printf '%s\\n' \"$said\" | complaint)\" ;;
    esac
  }
fi
say version \"$wanted\"
";

/// Pulls the image, unless it is there. Leans on the whole guard.
pub(super) fn pull(docker: &DockerUpdate, order: &UpdateOrder<'_>) -> String {
    format!(
        "command -v docker >/dev/null 2>&1 || refuse no-docker\nimage={image}\n{PULL}",
        image = quoted(&named(docker, wanted(order)))
    )
}

/// A pull that fails has changed nothing that runs.
const PULL: &str = "\
if ! docker image inspect \"$image\" >/dev/null 2>&1 9<&-; then
  run docker pull --quiet \"$image\"
  case $ended in
    0) ;;
    124|137) refuse slow-registry \"$limit\" ;;
    *) refuse no-pull \"$(complaint <\"$kept\")\" ;;
  esac
fi
";

/// Writes the image into the project's `.env`, whose other lines stay, and makes the container anew.
pub(super) fn recreate(docker: &DockerUpdate, order: &UpdateOrder<'_>) -> String {
    format!("{}image={image}\n{RECREATE}", entered(docker), image = quoted(&named(docker, wanted(order))))
}

const RECREATE: &str = "\
file=.env
[ ! -L .env ] || file=$(readlink -f .env)
next=$file.lamplighter
remember_image() {
  umask \"$mask\"
  rm -f \"$next\"
  [ ! -f \"$file\" ] || cp -p \"$file\" \"$next\" || return
  { [ ! -f \"$file\" ] || grep -v '^LAMPLIGHTER_IMAGE=' \"$file\" || [ $? = 1 ]; } >\"$next\" || return
  printf 'LAMPLIGHTER_IMAGE=%s\\n' \"$image\" >>\"$next\" || return
  sync \"$next\" 2>/dev/null
  mv -f \"$next\" \"$file\"
}
said=$( (remember_image) 2>&1 9<&-) || { rm -f \"$next\" 2>/dev/null; refuse no-env \"$(printf '%s\\n' \"$said\" | complaint)\"; }
export LAMPLIGHTER_IMAGE=\"$image\"
run $compose up -d --no-deps --force-recreate \"$service\"
";

fn wanted<'a>(order: &UpdateOrder<'a>) -> &'a Version {
    match order.way {
        Way::Forward => order.target,
        Way::Back => order.previous,
    }
}

fn named(docker: &DockerUpdate, version: &Version) -> String {
    format!("{}@{version}", docker.image)
}
