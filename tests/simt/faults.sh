#!/usr/bin/env bash
# Injects faults into copies of the real kernels and asserts that the emulator's tests catch each: a missing barrier, a
# missing tail guard, a divergent collective, too little shared memory, a read of what nothing wrote, a missing wait.
#   tests/simt/faults.sh SIMT_BUILD           the faults listed below
#   tests/simt/faults.sh SIMT_BUILD --sweep [NAMES]   besides, every __syncthreads() of every kernel and most tail guards, left
#                                             out and one too late, in turn; NAMES: only faults whose line it fits (an extended
#                                             regular expression: a file, "boundary", ...)
set -u
cd "$(dirname "$0")/../.."
build=$1 sweep=${2:-} names=${3:-}
command=$(cat "$build/kernel-command") # how the emulator's build compiles a kernel
work=$build/faults
rm -rf "$work"
mkdir -p "$work"

# name | file to change | kernel to compile | tests | what is replaced | by what | what the report must say
faults='
no barrier after the partial sums | warp.cuh | reduce.cu | test_reduce | 1:__syncthreads(); | | race|nothing has written
no barrier before partial sums are reused | warp.cuh | conv1d_thin.cu | test_conv1d | 2:__syncthreads(); | | race
no barrier between loading and multiplying a tile | tile_gemm.cuh | gemm.cu | test_gemm | 1:__syncthreads(); | | race|nothing has written
no barrier before a tile is loaded anew | tile_gemm.cuh | gemm.cu | test_gemm | 2:__syncthreads(); | | race
no tail guard of element-wise kernels | each.cuh | add.cu | test_add | if (i < n) | if (true) | of a device buffer
no tail guard of a column | partials.cuh | layernorm.cu | test_layernorm | threadIdx.y > 0 \|\| i >= n | threadIdx.y > 0 | of a device buffer
a lane leaves before a collective | counting.cu | counting.cu | test_counting | bool wrong = false; | bool wrong = false; if (row >= rows) return; | divergence
a row too many before the word of a mask is written | counting.cu | counting.cu | test_counting | == 0 && row < rows | == 0 && row <= rows | of a device buffer
half the shared memory | batchnorm.cu | batchnorm.cu | test_batchnorm | threads, sizeof(Partials), | threads, sizeof(Partials) / 2, | bytes of shared memory
a row of a tile is never written | softmax_cross_entropy.cu | softmax_cross_entropy.cu | test_softmax | e < count * p.classes | e < (count - 1) * p.classes | nothing has written
no wait for an asynchronous copy | conv1d_tensor.cu | conv1d_tensor.cu | test_conv1d | async_wait<stages - 2>(); | | nothing has written|race
no barrier in the pipeline of copies | conv1d_tensor.cu | conv1d_tensor.cu | test_conv1d | 1:__syncthreads(); | | nothing has written|race
no barrier between a row of weights and its sums | edges.cu | edges.cu | test_edges | 1:__syncwarp(); | | race
no tail guard of positions | conv1d_tensor.cu | conv1d_tensor.cu | test_conv1d | if (j < g.count) | if (true) | race|of a device buffer
'

# Tail guards, for the sweep: file | kernel | tests | what is replaced | by what
guards='
edges.cu | edges.cu | test_edges | 1:if (item >= std::size_t(p.batch) * p.heads * g.nodes) | if (false)
edges.cu | edges.cu | test_edges | 2:if (item >= std::size_t(p.batch) * p.heads * g.nodes) | if (false)
edges.cu | edges.cu | test_edges | if (item >= std::size_t(p.batch) * p.heads * nodes) | if (false)
edges.cu | edges.cu | test_edges | if (item >= std::size_t(p.batch) * g.edges) | if (false)
edges.cu | edges.cu | test_edges | 2:__syncwarp(); | 
activation.cu | activation.cu | test_activation | 1:if (i >= n) | if (false)
activation.cu | activation.cu | test_activation | if (column < p.cols) { | if (true) {
activation.cu | activation.cu | test_activation | threadIdx.y > 0 \|\| column >= p.cols | threadIdx.y > 0
activation.cu | activation.cu | test_activation | 2:if (i >= n) | if (false)
optimizer.cu | optimizer.cu | test_optimizer | if (thread >= n) | if (false)
codes.cu | codes.cu | test_codes | if (warp >= groups) | if (false)
codes.cu | codes.cu | test_codes | 1:__syncthreads(); | 
code_posterior.cu | code_posterior.cu | test_code_posterior | 1:if (p.second[e] < 0) | if (p.second[e] < -1)
rotary.cu | rotary.cu | test_rotary | int(token % p.tokens) | int(token)
windows.h | windows.cu | test_windows | begin[chosen + 1] - begin[chosen] - std::uint32_t(context) | begin[chosen + 1] - begin[chosen] + 60u
batchnorm.cu | batchnorm.cu | test_batchnorm | e < n ? x[at(e)] : 0.0f | x[at(e)]
batchnorm.cu | batchnorm.cu | test_batchnorm | 1:if (e < n) | if (true)
batchnorm.cu | batchnorm.cu | test_batchnorm | 2:if (e < n) | if (true)
batchnorm.cu | batchnorm.cu | test_batchnorm | 3:if (e < n) | if (true)
batchnorm.cu | batchnorm.cu | test_batchnorm | e < last; e += threads | e < last + 4; e += threads
counting.cu | counting.cu | test_counting | if (row < rows) { | if (true) {
counting.cu | counting.cu | test_counting | if (k >= networks) | if (false)
counting.cu | counting.cu | test_counting | if (pair >= pairs) | if (false)
conv1d_thin.cu | conv1d_thin.cu | test_conv1d | 1:if (j >= g.count) | if (false)
conv1d_thin.cu | conv1d_thin.cu | test_conv1d | 2:if (j >= g.count) | if (false)
conv1d_thin.cu | conv1d_thin.cu | test_conv1d | at >= 0 && at < g.in_length ? | true ?
conv1d_thin.cu | conv1d_thin.cu | test_conv1d | at >= 0 && at < p.in_length) | true)
conv1d.cu | conv1d.cu | test_conv1d | from >= 0 && from < p.in_length ? | true ?
conv1d_tensor.cu | conv1d_tensor.cu | test_conv1d | if (o >= g.out_channels) | if (false)
conv1d_tensor.cu | conv1d_tensor.cu | test_conv1d | const bool inside = at >= 0 && at < length; | const bool inside = true;
conv1d_tensor.cu | conv1d_tensor.cu | test_conv1d | inside && first | inside
conv1d_tensor.cu | conv1d_tensor.cu | test_conv1d | if (row < rows) | if (true)
conv1d_tensor.cu | conv1d_tensor.cu | test_conv1d | const bool inside = first_output + o < p.out_channels; | const bool inside = true;
conv1d_tensor.cu | conv1d_tensor.cu | test_conv1d | if (o < p.out_channels && i < p.in_channels) | if (true)
tile_gemm.cuh | gemm.cu | test_gemm | first_row + i < operands.rows && | true &&
tile_gemm.cuh | gemm.cu | test_gemm | first_column + j < operands.columns && | true &&
tile_gemm.cuh | gemm.cu | test_gemm | if (first_row + row + i < operands.rows && first_column + column + j < operands.columns) | if (true)
softmax_cross_entropy.cu | softmax_cross_entropy.cu | test_softmax | if (int(threadIdx.x) < count) { | if (true) {
layernorm.cu | layernorm.cu | test_layernorm | if (row >= rows) | if (false)
layernorm.cu | layernorm.cu | test_layernorm | 1:if (column < cols) | if (true)
layernorm.cu | layernorm.cu | test_layernorm | 2:if (column < cols) | if (true)
layernorm.cu | layernorm.cu | test_layernorm | 3:if (column < cols) | if (true)
layernorm.cu | layernorm.cu | test_layernorm | 4:if (column < cols) | if (true)
resident.cuh | mlp_training.cu | test_mlp_training | if (output < net.out(l) && input < net.in(l)) | if (true)
resident.cuh | mlp_training.cu | test_mlp_training | strip < strips) | true)
resident.cuh | field_training.cu | test_field_training | o < out ? sum[s][half][e] + bias[o] : 0.0f | sum[s][half][e] + bias[o]
field_training.cu | field_training.cu | test_field_training | i < set.inputs ? | true ?
mlp_training.cu | mlp_training.cu | test_mlp_training | return i < set.pixels | return true
cnn_training.cu | cnn_training.cu | test_cnn_training | if (at_row < m && at_column < n) | if (true)
cnn_training.cu | cnn_training.cu | test_cnn_training | return k < a.taps && o < a.outputs ? | return true ?
cnn_training.cu | cnn_training.cu | test_cnn_training | return inside ? | return true ?
attention.cu | attention.cu | test_attention | at.exists && first + row < tokens; | true;
attention.cu | attention.cu | test_attention | if (row >= tokens) | if (false)
attention.cu | attention.cu | test_attention | if (d < size) | if (true)
modulate.cu | modulate.cu | test_modulate | 1:if (at.row >= p.rows()) | if (false)
modulate.cu | modulate.cu | test_modulate | 2:if (at.row >= p.rows()) | if (false)
modulate.cu | modulate.cu | test_modulate | first + stretch < p.tokens ? first + stretch : p.tokens | first + stretch
modulate.cu | modulate.cu | test_modulate | if (i >= n) | if (false)
convert.cu | convert.cu | test_convert | each(s, n - done | each(s, n - done + 1
reduce.cu | reduce.cu | test_reduce | first + step < n ? first + step : n | first + step
reduce.cu | reduce.cu | test_reduce | row < last && column < cols | row < last
reduce.cu | reduce.cu | test_reduce | warp > 0 \|\| column >= cols | warp > 0
reduce.cu | reduce.cu | test_reduce | (part + 1) * part_rows < rows ? (part + 1) * part_rows : rows | (part + 1) * part_rows
head_norm.cu | head_norm.cu | test_head_norm | if (item >= std::size_t(p.rows) * 3 * p.heads) | if (false)
attention.cu | attention.cu | test_attention | if (key + c > query + r) | if (false)
attention.cu | attention.cu | test_attention | if (key + r > query + c) | if (false)
conv2d_tensor.cu | conv2d_tensor.cu | test_conv2d | if (o < of.rows && j < of.columns) | if (true)
conv2d_tensor.cu | conv2d_tensor.cu | test_conv2d | row_is_there && c < of.channels ? | row_is_there ?
conv2d_tensor.cu | conv2d_tensor.cu | test_conv2d | at >= 0 && channel + x_channel + e < of.channels ? | at >= 0 ?
conv2d_tensor.cu | conv2d_tensor.cu | test_conv2d | inside && output < p.out_group() ? | inside ?
conv2d_tensor.cu | conv2d_tensor.cu | test_conv2d | inside && channel < p.in_group() && | inside &&
conv2d_tensor.cu | conv2d_tensor.cu | test_conv2d | const bool inside = j < all; | const bool inside = true;
conv2d_tensor.cu | conv2d_tensor.cu | test_conv2d | if (first_output + o < p.out_group() && first_channel + c < p.in_group()) | if (true)
units.cu | units.cu | test_units | if (item >= std::size_t(networks) * l.units) | if (false)
units.cu | units.cu | test_units | if (place[e] >= 0) | if (true)
units.cu | units.cu | test_units | place[e] < 0 ? 0 : | false ? 0 :
units.cu | units.cu | test_units | if (kind == UnitBalance::norms \|\| !w.pooled[l]) | if (true)
units.h | units.cu | test_units | && !s.layers.pooled[l - 1] | 
'

# change FILE WHAT BY: replaces the first occurrence of WHAT ("N:WHAT": the Nth); fails where there is none.
change() {
  awk -v what="$2" -v by="$3" '
    BEGIN { nth = 1; if (match(what, /^[0-9]+:/)) { nth = substr(what, 1, RLENGTH - 1); what = substr(what, RLENGTH + 1) } }
    { at = index($0, what)
      if (at && !done && ++seen == nth) { $0 = substr($0, 1, at - 1) by substr($0, at + length(what)); done = 1 }
      print }
    END { exit !done }' "$1" >"$1.new" && mv "$1.new" "$1"
}

# inject NUMBER NAME FILE KERNEL TESTS WHAT BY SAYS: leaves its verdict in $work/NUMBER.verdict.
inject() {
  local dir=$work/$1 name=$2 says=$8 changed kernel
  changed=$(echo kernels/*/"$3") kernel=$(echo kernels/*/"$4")
  mkdir -p "$dir"
  cp -r kernels "$dir/kernels"
  {
    change "$dir/$changed" "$6" "$7" || { echo "   $name: '$6' is not in $changed"; return; }
    # The copy comes first among the include folders, so that every header is the copy's.
    ${command/ -I. / -I$dir -I. } -x c++ -c "$dir/$kernel" -o "$dir/kernel.o" 2>"$dir/log" &&
      g++ -fsanitize=address,undefined -rdynamic "$dir/kernel.o" $(grep -v "^$build/$kernel.o$" "$build/objects") \
        $(cat "$build/libraries") -ldl -o "$dir/run-tests" 2>>"$dir/log" ||
      { echo "   $name: does not build: $(head -n 2 "$dir/log")"; return; }
    ASAN_OPTIONS=detect_leaks=0:detect_stack_use_after_return=0 timeout 300 "$dir/run-tests" -sf="*$5*" >"$dir/log" 2>&1
    if [ $? -eq 0 ]; then
      echo "   $name: NOT CAUGHT ($changed)"
    elif [ -n "$says" ] && ! grep -qE "simt: .*($says)" "$dir/log"; then
      echo "   $name: failed, but did not report '$says' ($changed): $(grep -m1 -E 'simt:|ERROR' "$dir/log")"
    else
      echo "caught: $name"
    fi
  } >"$work/$1.verdict"
  rm -rf "$dir"
}

all=()
while IFS= read -r line; do [ -n "$line" ] && all+=("$line"); done <<<"$faults"
if [ "$sweep" = --sweep ]; then
  for file in kernels/*/*.cu kernels/*/*.cuh; do
    name=$(basename "$file")
    case $name in
    warp.cuh) kernel=conv1d_thin.cu tests=test_conv1d ;;
    tile_gemm.cuh) kernel=gemm.cu tests=test_gemm ;;
    partials.cuh) kernel=layernorm.cu tests=test_layernorm ;;
    resident.cuh) kernel=mlp_training.cu tests=test_mlp_training ;;
    run_block.cuh) kernel=cnn_training.cu tests=test_cnn_training ;;
    conv1d_*.cu) kernel=$name tests=test_conv1d ;;
    conv2d_*.cu) kernel=$name tests=test_conv2d ;;
    softmax*.cu) kernel=$name tests=test_softmax ;;
    *) kernel=$name tests=test_$(basename "$name" .cu) ;;
    esac
    for nth in $(seq "$(grep -c '^ *__syncthreads();' "$file")"); do
      all+=("barrier $nth of $name | $name | $kernel | $tests | $nth:__syncthreads(); | | race|nothing has written")
    done
  done
fi

if [ "$sweep" = --sweep ]; then
  while IFS= read -r line; do
    [ -n "$line" ] || continue
    all+=("guard $((${#all[@]} + 1)) of the sweep | $line | ")
    # The same guard, one too late: where a size is a multiple of what the kernel takes at once, an element too many.
    [[ $line =~ ^([^|]*\|[^|]*\|[^|]*\|\ )([0-9]+:)?(.*)\ \|\  ]] || continue
    late=${BASH_REMATCH[3]}
    [[ $late =~ ^(.*)\ \<\ (.*)\ \?\ (.*)\ :\ (.*)$ && ${BASH_REMATCH[1]} = "${BASH_REMATCH[3]}" ]] && continue # a minimum
    [[ $line =~ ^([^|]*\|[^|]*\|[^|]*\|\ )([0-9]+:)?(.*)\ \|\  ]]
    case $late in
    *' >= '*) late=${late/' >= '/' > '} ;;
    *' < '*) late=${late/' < '/' <= '} ;;
    *) continue ;;
    esac
    all+=("boundary $((${#all[@]} + 1)) of the sweep | ${BASH_REMATCH[0]}$late | ")
  done <<<"$guards"
fi

number=0
for line in "${all[@]}"; do
  # "\|" is a bar within a field; the last field may hold bars.
  IFS=$'\x1f' read -r name file kernel tests what by says <<<"$(sed -E 's/\\\|/\x1e/g; s/ \| ?/\x1f/; s/ \| ?/\x1f/; s/ \| ?/\x1f/; s/ \| ?/\x1f/; s/ \| ?/\x1f/; s/ ?\| ?/\x1f/; s/\x1e/|/g' <<<"$line")"
  [[ -z $names || $line =~ $names ]] || continue
  number=$((number + 1))
  inject "$number" "$name" "$file" "$kernel" "$tests" "$what" "$by" "$says" &
  while [ "$(jobs -rp | wc -l)" -ge "$(nproc)" ]; do wait -n; done
done
wait
caught=$(cat "$work"/*.verdict | grep -c '^caught: ')
cat "$work"/*.verdict | grep -v '^caught: '
[ "$sweep" = --sweep ] && cat "$work"/*.verdict | grep '^caught: '
echo "   $caught of $number faults caught"
[ "$caught" -eq "$number" ]
