// The program `theta`. Exit status: 0 done, 1 failed, 2 bad usage or input, 130 interrupted (state saved).
#include "engine/training/interrupt.h"
#include "kernels/device/parallel.h"
#include "kernels/device/trace.h"
#include "tools/options.h"
#include <iostream>

using namespace theta;

namespace {

// What this program is, and what it was made by and for.
std::string version_text() {
  std::string sets = "baseline";
#if defined(__AVX512F__)
  sets = "AVX-512";
#elif defined(__AVX2__)
  sets = "AVX2";
#elif defined(__AVX__)
  sets = "AVX";
#endif
  return text("theta ", THETA_VERSION, ", commit ", THETA_COMMIT, "\n", "compiled by g++ ", __VERSION__, " for ", sets,
              " (-march=", THETA_MARCH, "), ", built_with_cuda ? "with CUDA for " THETA_ARCHITECTURES : "without CUDA");
}

} // namespace

int main(int argc, char **argv) {
  CLI::App app{
      "theta: neural network diffusion. Trains zoos of small networks, learns their weights, generates new ones."};
  app.set_version_flag("--version", version_text());
  app.require_subcommand(1);
  app.fallthrough(); // --threads may stand anywhere
  int threads = 0;
  app.add_option("--threads", threads, "threads of the cpu (default: OMP_NUM_THREADS, else the cores allowed)")
      ->check(CLI::Range(1, 1024));
  std::string profile;
  app.add_option("--profile", profile,
                 "write a trace of stages, steps and operations, for Chrome's tracing or Perfetto");
  Action action;
  add_run_commands(app, action);
  add_zoo_commands(app, action);
  add_generator_commands(app, action);
  add_plan_command(app, action);
  add_wall_command(app, action);
  add_report_commands(app, action);
  add_compare_command(app, action);
  add_render_command(app, action);
  add_study_command(app, action);
  add_bench_command(app, action);
  add_device_command(app, action);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success &e) { // --help, --version
    return app.exit(e);
  } catch (const CLI::ParseError &e) {
    std::cerr << "theta: " << e.what() << " (theta --help lists the commands)\n";
    return 2;
  }
  try {
    watch_for_interrupts();
    if (threads > 0)
      use_threads_everywhere(threads);
    if (!profile.empty())
      start_trace(profile);
    action();
    end_trace();
    return 0;
  } catch (const Interrupted &e) {
    std::cerr << "theta: " << e.what() << '\n';
    return 130;
  } catch (const InputError &e) {
    std::cerr << "theta: " << e.what() << '\n';
    return 2;
  } catch (const std::exception &e) {
    std::cerr << "theta: " << e.what() << '\n';
    return 1;
  }
}
