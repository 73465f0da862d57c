#!/usr/bin/env bash
# Files and places as strangers' programs and machines make them (tests/cases/make_strangers.py): read right, or refused by
# name with nothing left behind; and a disk, a terminal or a container that is not as one expects.
source "$(dirname "$0")/common.sh"
python=$(for p in python3 /usr/bin/python3; do "$p" -c 'import numpy' 2>/dev/null && echo "$p" && break; done)
[ -n "$python" ] || { echo "   skipped: no python3 with numpy here"; exit 77; }
has_torch=$("$python" -c 'import torch' 2>/dev/null && echo yes)
"$python" tests/cases/make_strangers.py "$work/cases" >/dev/null || fail "the cases could not be made"
cases=$work/cases out=$work/o
cd "$cases" || exit 1

fingerprint() { "$theta" zoo info "$1" --json | sed -n 's/.*"fingerprint": *"\([0-9a-f]*\)".*/\1/p'; }
# trained TOML CASE [arguments...]: the fingerprint of what a zoo was trained on.
trained() {
  local toml=$1 case=$2
  shift 2
  rm -rf "$out"
  "$theta" zoo train "places/$toml.toml" --set "data.folder=$case" --out "$out" "$@" >"$work/out" 2>"$work/err" || fail "$case: $(tail -n 1 "$work/err")"
  fingerprint "$out/zoo"
}
same() { # TOML REFERENCE CASE [arguments...]
  local toml=$1 reference=$2 case=$3
  shift 3
  [ "$(trained "$toml" "$case" "$@")" = "$reference" ] || fail "$case is not what it shows"
}
refused() { # PART command...: exit 2, one line, nothing left behind
  rm -rf "$out"
  expect 2 "$@"
  [ ! -e "$out" ] || fail "$* left something behind"
}

# Meshes.
body=$(trained mesh mesh_reference)
for case in stray_obj stray_ply far_obj far_ply stl_upper stl_capital stl_more_bytes stl_no_count obj_continued obj_continued_v obj_bom obj_blocks strips_ply; do
  same mesh "$body" $case
  grep -q 'not watertight' "$work/err" && fail "$case is called open"
done
for case in inside_out_obj inside_out_stl; do
  same mesh "$body" $case
  grep -q 'their faces were turned' "$work/err" || fail "$case: nobody was told that it was inside out"
done
same mesh "$(trained mesh mesh_reference --set data.signal=distance)" concave_obj --set data.signal=distance
mesh=(zoo train places/mesh.toml --out "$out" --set)
refused "part.obj: line 12: found '-1.#IND'" "$theta" "${mesh[@]}" data.folder=nan_ind_obj
refused "part.obj: line 12: found '1.#QNAN'" "$theta" "${mesh[@]}" data.folder=nan_qnan_obj
refused "part.obj: line 12: found '1.#INF00'" "$theta" "${mesh[@]}" data.folder=nan_inf_obj
refused "part.stl: line 41: found '-1.#IND'" "$theta" "${mesh[@]}" data.folder=nan_ind_stl
refused "part.stl: found a pointer of Git LFS" "$theta" "${mesh[@]}" data.folder=pointer_stl
trained mesh modelnet >/dev/null
grep -q '"classes": *2' <<<"$("$theta" zoo info "$out/zoo" --json)" || fail "modelnet is not of two classes"
mkdir -p shapenet/0269/a/models shapenet/0315/b/models shapenet/0315/.git
cp mesh_reference/part.obj shapenet/0269/a/models/model_normalized.obj
cp mesh_reference/part.obj shapenet/0315/b/models/model_normalized.obj
trained mesh shapenet >/dev/null
grep -q '"classes": *2' <<<"$("$theta" zoo info "$out/zoo" --json)" || fail "ShapeNet's folders are not of two classes"
mkdir cut open
head -c 300 inside_out_stl/part.stl >cut/part.stl
refused "it has been cut" "$theta" "${mesh[@]}" data.folder=cut
grep -v '^f 1 2 8' mesh_reference/part.obj >open/part.obj
trained mesh open >/dev/null
grep -q 'not watertight' "$work/err" || fail "an open mesh is not told"

# Pictures.
pixels=$(trained images images_reference)
for case in hidden_notebook hidden_empty apple_double gamma_linear; do same images "$pixels" $case; done
same images "$(trained images jpeg_reference)" jpeg_junk
images=(zoo train places/images.toml --out "$out" --set)
refused "found the folder 'dog' in train and not in test" "$theta" "${images[@]}" data.folder=other_names
cp -r jpeg_reference jpeg_cut
head -c -6 jpeg_reference/cats/03.jpg >jpeg_cut/cats/03.jpg
refused "03.jpg" "$theta" "${images[@]}" data.folder=jpeg_cut
refused "unless a configuration says otherwise" "$theta" "${images[@]}" data.folder=images_reference --set data.validation=5000
refused "found a pointer of Git LFS" "$theta" "${images[@]}" data.name=idx --set data.folder=pointer_idx

# Checkpoints, tables and arrays.
imported() { # NETWORKS FOLDER arguments...
  local networks=$1
  shift
  rm -rf "$out"
  "$theta" zoo import "$1" "$out" --activation relu "${@:2}" >"$work/out" 2>"$work/err" || fail "import $*: $(tail -n 1 "$work/err")"
  "$theta" zoo verify "$out" 2>/dev/null | grep -q ": $networks rows match" || fail "import $*: not $networks networks that can be read"
  "$theta" zoo info "$out" --json | grep -q '"parameters": *51' || fail "import $*: not 51 weights"
}
if [ -n "$has_torch" ]; then
  imported 2 pt_reference
  for case in numpy_scalar:best_acc numpy_array:history namespace:args path:out set:tags bytes:note counter:seen big_seed:seed negative:seed; do
    imported 2 "beside_${case%:*}"
    grep -q "left out: ${case#*:})" "$work/err" || fail "beside_${case%:*}: what was left out is not named"
  done
  for case in loose_tutorial loose_best loose_rng; do imported 4 $case; done
  imported 2 ending_ckpt
  imported 2 ending_upper
  imported 2 ending_bin --pattern '*/pytorch_model.bin'
  imported 1 ending_ckpt/epoch1.ckpt
else
  echo "   not tried: checkpoints of PyTorch (no torch here)"
fi
for case in safetensors pt; do
  refused "found a pointer of Git LFS" "$theta" zoo import pointer_$case "$out"
  refused "found a page of HTML" "$theta" zoo import page_$case "$out"
done
table=(zoo import metrics "$out" --activation relu --metrics)
refused "found two columns 'acc'" "$theta" "${table[@]}" metrics/same_columns.csv
refused "line 3: found 'run0.safetensors' again" "$theta" "${table[@]}" metrics/per_epoch.csv
refused "found a pointer of Git LFS" "$theta" "${table[@]}" metrics/pointer.csv
printf 'file,th\xe9ta\nrun0.safetensors,1\nrun1.safetensors,2\n' >metrics/latin.csv
refused "UTF-8" "$theta" "${table[@]}" metrics/latin.csv
imported 2 metrics --metrics metrics/seeds_18.csv
"$theta" zoo info "$out" --json | grep -q '"min": *123456789012345677' || fail "a seed of 18 digits is not exact"
imported 2 metrics --metrics metrics/seeds_20.csv
grep -q "column 'seed' has whole numbers that a column cannot hold exactly, left out" "$work/err" || fail "a seed of 20 digits is not left out by name"
refused "found a column 'theta'" "$theta" zoo import npz_theta "$out"
refused "found two columns 'acc'" "$theta" zoo import npz_both "$out" --metrics metrics/both.csv
imported 4 npz_text
grep -q 'left out: names)' "$work/err" || fail "npz_text: what was left out is not named"
imported 51 npz_square
imported 4 npy_long

# Places: outputs that are closed, full or gone.
train=("$theta" zoo train places/images.toml --set data.folder=images_reference --out "$out")
rm -rf "$out" && "${train[@]}" >/dev/null 2>&1 && mv "$out" "$work/trained"
for closed in full closed; do
  rm -rf "$out"
  if [ $closed = full ]; then "$theta" zoo import metrics "$out" --activation relu 2>/dev/full; else "$theta" zoo import metrics "$out" --activation relu 2>&-; fi
  [ $? -eq 0 ] || fail "import ends otherwise where standard error is $closed"
  cmp -s "$out/shard-00000.safetensors" <("$theta" zoo import metrics "$work/again" --activation relu 2>/dev/null && cat "$work/again/shard-00000.safetensors") || fail "import writes other bytes where standard error is $closed"
  rm -rf "$work/again"
done
rm -rf "$out"
"$theta" run places/run.toml --set data.folder=images_reference --out "$out" >/dev/null 2>/dev/full || fail "a run ends otherwise where standard error is full"
grep -q 'generated' "$out/log.txt" || fail "log.txt is not written where standard error is full"
for command in "zoo info $work/trained/zoo --json" "zoo verify $work/trained/zoo" "device" "generator info $out/generator.safetensors" "plan places/run.toml --set data.folder=images_reference" "--help"; do
  $theta $command >/dev/full 2>"$work/err" && fail "'theta $command' hides that its output is full"
  grep -q 'No space left on device' "$work/err" || fail "'theta $command' does not say why: $(cat "$work/err")"
  $theta $command >&- 2>/dev/null && fail "'theta $command' hides that its output is closed"
done

# A disk without locks, or without maps.
if command -v cc >/dev/null && cc -shared -fPIC places/places.c -o places.so -ldl 2>/dev/null; then
  for error in 37 524; do
    rm -rf "$out"
    LD_PRELOAD=$PWD/places.so PLACES_FLOCK=$error "${train[@]}" >/dev/null 2>"$work/err" || fail "a disk without locks ($error): $(tail -n 1 "$work/err")"
    grep -q 'nothing locks it' "$work/err" || fail "nobody is told that nothing locks ($error)"
    cmp -s "$out/zoo/shard-00000.safetensors" "$work/trained/zoo/shard-00000.safetensors" || fail "a disk without locks ($error) has another zoo"
  done
  for maps in shared all; do
    rm -rf "$out"
    LD_PRELOAD=$PWD/places.so PLACES_MMAP=$maps PLACES_UNDER="$work" "${train[@]}" >/dev/null 2>"$work/err" || fail "a disk without maps ($maps): $(tail -n 1 "$work/err")"
    [ "$(LD_PRELOAD=$PWD/places.so PLACES_MMAP=$maps PLACES_UNDER="$work" fingerprint "$out/zoo")" = "$pixels" ] || fail "a disk without maps ($maps): another zoo"
  done
else
  echo "   not tried: disks without locks or maps (no C compiler)"
fi

# What may only be read, or not even that; and a container. As root, since root may read everything.
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
  chmod 755 "$work" && cp "$theta" "$work/theta"
  nobody() { (cd / && setpriv --reuid=65534 --regid=65534 --clear-groups "$work/theta" "$@"); }
  nobody zoo info "$work/trained/zoo" >"$work/out" 2>"$work/err" || fail "a zoo that may only be read: $(cat "$work/err")"
  grep -q 'no picture' "$work/out" || fail "nobody is told that there is no picture"
  cp -r metrics secret && cp places/run.toml secret.toml && chmod 000 secret secret.toml
  for command in "zoo import $cases/secret $work/no" "plan $cases/secret.toml" "zoo train $cases/places/images.toml --set data.folder=$cases/secret --out $work/no"; do
    nobody $command >/dev/null 2>"$work/err"
    [ $? -eq 2 ] && grep -q 'secret.*Permission denied' "$work/err" || fail "'theta $command' says $(cat "$work/err")"
  done
fi
if [ "$(id -u)" = 0 ] && unshare -m true 2>/dev/null; then
  unshare -m sh -c 'mount --bind cgroup2/fs /sys/fs/cgroup && mount --bind cgroup2/of /proc/$$/cgroup && mount --bind cgroup2/mounts /proc/$$/mountinfo &&
    exec "$0" device' "$theta" >"$work/out" 2>"$work/err" || fail "a container: $(cat "$work/err")"
  grep -q '256.0 MiB, 1 threads' "$work/out" || fail "a container of one core and 256 MiB is taken for $(head -n 1 "$work/out")"
fi

# The page's server.
"$theta" report "$out" --serve 0 2>"$work/serve" &
server=$!
at_end() { kill $server 2>/dev/null; }
for i in $(seq 50); do grep -q 'http://' "$work/serve" && break || sleep 0.1; done
"$python" - "$(grep -oE ':[0-9]+/' "$work/serve" | tr -d ':/')" <<'PYTHON' || fail "the page's server answers otherwise"
import socket, sys
port = int(sys.argv[1])
def ask(text):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as s:
        s.sendall(text.replace("\n", "\r\n").encode())
        answer = b"".join(iter(lambda: s.recv(65536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    return head.split()[1].decode(), len(body)
silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(3)]
assert ask(f"GET / HTTP/1.1\nhost: 127.0.0.1:{port}\n\n")[0] == "200"
status, length = ask("GET /?x=1 HTTP/1.1\nHost: localhost\n\n")
assert status == "200" and length > 1000
assert ask("HEAD / HTTP/1.1\nHOST:localhost\n\n") == ("200", 0)
assert ask("GET / HTTP/1.1\nHost: elsewhere.example\n\n")[0] == "403"
PYTHON
