#!/usr/bin/env bash
# Layout of the code: clang-format agrees, includes never point up, every folder explains itself, every kernel has its
# reference beside it, a type's name is its own.
set -u
cd "$(dirname "$0")/.."
failed=0
fault() { echo "   $1"; failed=1; }


# kernels <- data (error.h and bf16.h alone) <- engine <- tools
upward() { grep -rnE "^#include \"(\.\./)*($2)/" "$1" --include='*.h' --include='*.cpp' --include='*.cu' --include='*.cuh'; }
upward kernels 'data|engine|tools|tests' && fault "kernels/ includes something above it"
upward data 'engine|tools|tests' && fault "data/ includes something above it"
grep -rnE '^#include "kernels/' data --include='*.h' --include='*.cpp' | grep -vE 'kernels/device/(error|bf16).h' && fault "data/ includes more of kernels/ than error.h and bf16.h"
upward engine 'tools|tests' && fault "engine/ includes something above it"
upward tools 'tests' && fault "tools/ includes tests/"

# Floors, from the ground up: no folder includes one above it.
floors() { # TOP FOLDER...: the folders of TOP in their order
  local top=$1 below="" folder
  shift
  for folder in "$@"; do
    below+="${below:+|}$folder"
    grep -rnE "^#include \"$top/" "$top/$folder" | grep -vE "#include \"$top/($below)/" && fault "$top/$folder includes a folder above it"
  done
  for folder in "$top"/*/; do
    [[ "|$below|" == *"|$(basename "$folder")|"* ]] || fault "$folder has no place among the floors of $top/"
  done
}
floors kernels device parts operations runs
# Of the generators' rooms only flow/ is for others.
for room in engine/generators/*/; do
  grep -rnE '^#include "engine/generators/[a-z]+/' "$room" | grep -vE "#include \"(${room}|engine/generators/flow/)" && fault "$room includes another generator's room"
done
# What networks are for is asked in their tasks' rooms alone, and of their kinds.
grep -rnE 'is_classifier|is_signal\(|is_field\(|->learns\(' engine tools --include='*.h' --include='*.cpp' | grep -vE '^engine/(tasks|networks)/|^engine/zoo/learning.cpp' && fault "something asks what networks are for outside of engine/tasks/"
floors engine $(sed -n '/^| floor |/,/^$/s/^| `\([a-z]*\)\/` .*/\1/p' engine/README.md)

for kernel in kernels/*/*.cu; do
  base=${kernel%.cu} # conv1d_tensor.cu is one more way to compute conv1d
  [ -e "$base.cpp" ] || [ -e "${base%_*}.cpp" ] || fault "$kernel has no CPU reference beside it"
done
for folder in kernels kernels/* data engine engine/* engine/generators/* engine/tasks/* engine/pipeline/* tools runs runs/records runs/studies tests tests/simt tests/golden; do
  [ -d "$folder" ] || continue
  [ -e "$folder/README.md" ] || { fault "$folder has no README.md"; continue; }
  head -n 1 "$folder/README.md" | grep -q '^# ' || fault "$folder/README.md has no heading"
done

if command -v clang-format >/dev/null; then
  mapfile -t sources < <(find kernels data engine tools tests -name '*.h' -o -name '*.cpp' -o -name '*.cu' -o -name '*.cuh')
  wrong=$(clang-format --dry-run --Werror "${sources[@]}" 2>&1 | grep -E 'error:' | head -n 5)
  [ -z "$wrong" ] || fault "$wrong"$'\n'"   clang-format: run 'make format'"
else
  echo "   (clang-format is not here: the layout of lines was not checked)"
fi

# One name, one type: two headers that declare the same would make one program of both, and the linker says nothing.
for name in $(grep -rhoE '^(struct|class) [A-Z][A-Za-z0-9]*( final)?( :[^;]*)? \{' --include=*.h kernels data engine tools |
  awk '{print $2}' | sort | uniq -d); do
  fault "$name is declared in two headers: $(grep -rlE "^(struct|class) $name( final)?( :[^;]*)? \{" --include=*.h kernels data engine tools | tr '\n' ' ')"
done

[ $failed -eq 0 ] && echo "   layout: fine"
exit $failed
