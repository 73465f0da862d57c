#!/usr/bin/env bash
# Puts the header libraries and the data set that theta needs under .deps/, unless the system already has them.
#   tools/deps.sh          fetch what is missing (Debian packages, unpacked, never installed: no root needed)
#   tools/deps.sh --all    fetch everything, also what the system has (for a bundle that leaves this machine)
set -euo pipefail
cd "$(dirname "$0")/.."
multiarch=$(g++ -dumpmachine 2>/dev/null || echo x86_64-linux-gnu)

# package | file that shows it is there | version tested
wanted="
doctest-dev            | include/doctest/doctest.h                                | 2.4.9
libstb-dev             | include/stb/stb_image_write.h                            | 2022-09-08
libcli11-dev           | include/CLI/CLI.hpp                                      | 2.1.2
libtomlplusplus-dev    | include/toml++/toml.h                                    | 3.3.0
nlohmann-json3-dev     | include/nlohmann/json.hpp                                | 3.11.2
libfmt-dev             | include/fmt/format-inl.h                                 | 9.1.0
libxxhash-dev          | include/xxhash.h                                         | 0.8.1
zlib1g-dev             | lib/$multiarch/libz.a                                    | 1.2.13
libminizip-dev         | include/minizip/unzip.h                                  | 1.1
libpng-dev             | include/png.h                                            | 1.6.39
libgif-dev             | include/gif_lib.h                                      | 5.2.1
libturbojpeg0-dev      | include/turbojpeg.h                                      | 2.1.5
libcsv-dev             | include/csv.h                                            | 3.0.3
libeigen3-dev          | include/eigen3/Eigen/Core                                | 3.4.0
fonts-dejavu-core      | share/fonts/truetype/dejavu/DejaVuSans.ttf               | 2.37
libjs-chart.js         | share/javascript/chart.js/chart.min.js                   | 3.9.1
dataset-fashion-mnist  | share/datasets/fashion-mnist/train-images-idx3-ubyte.gz  | 2020-05-23
"

missing=""
while IFS='|' read -r package file version; do
  package=${package// /} file=${file// /} version=${version// /}
  [ -n "$package" ] || continue
  [ -e ".deps/usr/$file" ] && continue
  [ "${1:-}" != --all ] && { [ -e "/usr/$file" ] || [ -e "/usr/local/$file" ]; } && continue
  missing="$missing$package|$file|$version"$'\n'
done <<<"$wanted"
[ -n "$missing" ] || { echo "deps: everything is present"; exit 0; }

by_hand() {
  echo "deps: $1. Put these files under .deps/usr/ (or /usr, /usr/local) by hand:"
  while IFS='|' read -r package file version; do
    [ -n "$package" ] && printf '  .deps/usr/%-58s %s, tested with %s\n' "$file" "$package" "$version"
  done <<<"$missing"
  exit 1
} >&2
command -v apt-get >/dev/null && command -v dpkg >/dev/null || by_hand "there is no apt-get and dpkg here"

mkdir -p .deps
staging=$(mktemp -d .deps/fetch.XXXXXX)
trap 'rm -rf "$staging"' EXIT
packages=$(cut -d'|' -f1 <<<"$missing")
fetch() { (cd "$staging" && apt-get "$@" download $packages >apt.log 2>&1); }
echo "deps: fetching" $packages
if ! fetch; then # no package lists on this machine: take them into a private folder
  root="$PWD/$staging"
  mkdir -p "$root/lists/partial" "$root/cache/archives/partial"
  private=(-o "Dir::State::Lists=$root/lists" -o "Dir::Cache=$root/cache" -o APT::Sandbox::User=root)
  apt-get "${private[@]}" update >"$staging/update.log" 2>&1 && fetch "${private[@]}" || {
    tail -n 3 "$staging"/*.log >&2
    by_hand "the packages could not be downloaded"
  }
fi
for deb in "$staging"/*.deb; do dpkg -x "$deb" "$staging/tree"; done
rm -rf "$staging/tree/usr/share/doc" "$staging/tree/usr/share/man"
cp -a "$staging/tree/." .deps/ # unpacked whole beside its place first, so that a broken download leaves nothing behind
echo "deps: done, $(du -sh --exclude="fetch.*" .deps | cut -f1) in .deps"
