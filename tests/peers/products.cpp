// Products of the shapes that theta multiplies, by its own gemm and by the libraries that one would take instead:
// Eigen, and OpenBLAS and BLIS where their shared libraries are named. Prints GFLOP/s, medians of nine. From the
// project's root:
//   make CUDA=0 build/theta
//   g++ -O2 -std=c++20 -march=native -DTHETA_CUDA=0 -DTHETA_SIMT=0 -I. -I/usr/include/eigen3 tests/peers/products.cpp
//     build/cpu/kernels/*/*.o -ldl -o build/products
//   build/products libopenblas.so.0 libblis.so.4
#include "kernels/device/parallel.h"
#include "kernels/operations/gemm.h"
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <dlfcn.h>
#include <string>
#include <vector>
#define EIGEN_DONT_PARALLELIZE
#include <Eigen/Core>

using namespace theta;

namespace {

using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Sgemm = void (*)(int, int, int, int, int, int, float, const float *, int, const float *, int, float, float *,
                       int);

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

template <class F> double median_seconds(F run) {
  std::vector<double> seconds;
  run();
  for (int sample = 0; sample < 9; ++sample) {
    const double start = now();
    int count = 0;
    do
      run(), ++count;
    while (now() - start < 0.05);
    seconds.push_back((now() - start) / count);
  }
  std::nth_element(seconds.begin(), seconds.begin() + 4, seconds.end());
  return seconds[4];
}

struct Library {
  std::string name;
  Sgemm sgemm;
  void (*threads)(long);

  explicit Library(const std::string &path) : name(path.substr(path.rfind('/') + 1)) {
    void *library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    sgemm = library ? reinterpret_cast<Sgemm>(dlsym(library, "cblas_sgemm")) : nullptr;
    threads = nullptr;
    for (const char *setter : {"openblas_set_num_threads", "bli_thread_set_num_threads"})
      if (void *found = library ? dlsym(library, setter) : nullptr)
        threads = reinterpret_cast<void (*)(long)>(found);
  }
};

void with_eigen(float *c, const float *a, const float *b, const Gemm &p) {
  Eigen::Map<Matrix> to(c, p.m, p.n);
  const Eigen::Map<const Matrix> left(a, p.transpose_a ? p.k : p.m, p.transpose_a ? p.m : p.k),
      right(b, p.transpose_b ? p.n : p.k, p.transpose_b ? p.k : p.n);
  if (p.transpose_a)
    to.noalias() += left.transpose() * right;
  else if (p.transpose_b)
    to.noalias() = left * right.transpose();
  else
    to.noalias() = left * right;
}

void measure(Gemm p, int team, const std::vector<Library> &libraries) {
  p.stride_a = std::size_t(p.m) * p.k, p.stride_b = std::size_t(p.n) * p.k, p.stride_c = std::size_t(p.m) * p.n;
  const std::size_t batch = std::size_t(p.batch);
  std::vector<float> a(batch * p.stride_a, 0.5f), b(batch * p.stride_b, 0.25f), c(batch * p.stride_c);
  const double work = 2e-9 * p.batch * p.m * p.n * p.k;
  Stream s{Device{}};
  use_threads(team);
  std::printf("%d threads, %d x %dx%dx%d %s%s: theta %.1f", team, p.batch, p.m, p.n, p.k, p.transpose_a ? "T" : "N",
              p.transpose_b ? "T" : "N",
              work / median_seconds([&] { gemm<float>(s, c.data(), a.data(), b.data(), p); }));
  const auto each = [&](auto multiply) {
    return work / median_seconds([&] {
             for (std::size_t i = 0; i < batch; ++i)
               multiply(c.data() + i * p.stride_c, a.data() + i * p.stride_a, b.data() + i * p.stride_b);
           });
  };
  if (team == 1)
    std::printf(", Eigen %.1f", each([&](float *to, const float *x, const float *y) { with_eigen(to, x, y, p); }));
  for (const Library &library : libraries) {
    if (!library.sgemm)
      continue;
    if (library.threads)
      library.threads(team);
    constexpr int row_major = 101, plain = 111, transposed = 112;
    std::printf(", %s %.1f", library.name.c_str(), each([&](float *to, const float *x, const float *y) {
                  library.sgemm(row_major, p.transpose_a ? transposed : plain, p.transpose_b ? transposed : plain, p.m,
                                p.n, p.k, 1, x, p.row_a(), y, p.row_b(), p.accumulate ? 1 : 0, to, p.n);
                }));
  }
  std::printf("\n");
  std::fflush(stdout);
}

} // namespace

int main(int count, char **arguments) {
  const std::vector<Library> libraries(arguments + 1, arguments + count);
  const std::vector<Gemm> shapes{{.m = 1024, .n = 1024, .k = 1024, .transpose_b = true},
                                 {.m = 1000, .n = 1000, .k = 1000, .transpose_b = true},
                                 {.m = 128, .n = 32, .k = 784, .transpose_b = true, .batch = 64},
                                 {.m = 576, .n = 384, .k = 96, .transpose_b = true},
                                 {.m = 576, .n = 96, .k = 384, .transpose_b = true},
                                 {.m = 576, .n = 96, .k = 384},
                                 {.m = 384, .n = 96, .k = 576, .transpose_a = true, .accumulate = true},
                                 {.m = 64, .n = 576, .k = 96, .transpose_b = true},
                                 {.m = 512, .n = 96, .k = 60, .transpose_b = true},
                                 {.m = 2048, .n = 128, .k = 27, .transpose_b = true},
                                 {.m = 9, .n = 9, .k = 24, .transpose_b = true, .batch = 256}};
  for (const int team : {1, threads()})
    for (const Gemm &p : shapes)
      measure(p, team, libraries);
}
