#!/usr/bin/env bash
# What each CUDA kernel takes, as the compiler says it: registers a thread, bytes spilled, static shared memory, stack.
#   tools/kernel_report.sh NVCC ARCHITECTURE [flags...]      (make kernel-report)
set -eu
cd "$(dirname "$0")/.."
nvcc=$1 arch=$2
shift 2
printf '%-26s %-46s %9s %7s %6s\n' file kernel registers spilled stack
for file in kernels/*/*.cu; do
  "$nvcc" "$@" -gencode "arch=compute_$arch,code=sm_$arch" -Xptxas -v -c "$file" -o /dev/null 2>&1 | c++filt |
    awk -v file="$(basename "$file")" '
      /Compiling entry function/ { split($0, part, "\x27"); name = part[2] }
      /bytes stack frame/ { stack = $1; spilled = $5 + $9 }
      /Used [0-9]+ registers/ {
        for (i = 1; i <= NF; ++i) if ($i == "Used") registers = $(i + 1)
        print file "\t" name "\t" registers "\t" spilled "\t" stack
      }'
done | sed -E 's/theta::cuda::|theta::|\(anonymous namespace\):://g; s/^([^\t]*)\tvoid /\1\t/' |
  while IFS=$'\t' read -r file name registers spilled stack; do
    case $name in *each_kernel*) name="each: $(sed -nE 's/.*IZNS_4cuda[0-9]+([a-z_0-9]+)E.*/\1/p; s/.*each_kernel<([a-z_0-9]+)\(.*/\1/p' <<<"$name" | head -n 1)" ;; esac
    printf '%-26s %-46s %9s %7s %6s\n' "$file" "${name%%(*}" "$registers" "$spilled" "$stack"
  done
