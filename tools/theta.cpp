// The program `theta`. Exit status: 0 done, 1 failed, 2 bad usage or input, 130 interrupted (state saved).
#include "engine/training/interrupt.h"
#include "kernels/device/parallel.h"
#include "kernels/device/trace.h"
#include "tools/options.h"
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <iostream>
#include <unistd.h>

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

// The three standard files are there, so that no file of ours takes the number of one that was closed: errors may go
// nowhere, but a result that nobody can read is a failure. A reader that goes away is an error of writing, not a
// signal.
void hold_standard_files() {
  for (const int number : {0, 1, 2})
    if (fcntl(number, F_GETFD) < 0)
      dup2(open("/dev/null", number == 2 ? O_WRONLY : O_RDONLY), number);
  signal(SIGPIPE, SIG_IGN);
}

// `status`, unless standard output could not be written.
int ended(int status) {
  errno = 0;
  if (status != 0 || (std::fflush(stdout) == 0 && !std::ferror(stdout) && std::cout.flush()))
    return status;
  std::cerr << "theta: standard output cannot be written" << (errno ? std::string(": ") + std::strerror(errno) : "")
            << '\n';
  return 1;
}

int status_of(Action &action) {
  try {
    action();
    end_trace();
    return 0;
  } catch (const Interrupted &e) {
    std::cerr << "theta: " << e.what() << '\n';
    return 130;
  } catch (const InputError &e) {
    std::cerr << "theta: " << e.what() << '\n';
    return 2;
  } catch (const std::filesystem::filesystem_error &e) {
    std::cerr << "theta: " << printable(e.path1().string()) << ": " << e.code().message() << '\n';
    return e.code() == std::errc::permission_denied ? 2 : 1;
  } catch (const std::exception &e) {
    std::cerr << "theta: " << e.what() << '\n';
    return 1;
  }
}

} // namespace

int main(int argc, char **argv) {
  hold_standard_files();
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
  add_keys_command(app, action);
  add_plan_command(app, action);
  add_wall_command(app, action);
  add_report_commands(app, action);
  add_compare_command(app, action);
  add_render_command(app, action);
  add_write_command(app, action);
  add_study_command(app, action);
  add_bench_command(app, action);
  add_device_command(app, action);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success &e) { // --help, --version
    return ended(app.exit(e));
  } catch (const CLI::ParseError &e) {
    std::cerr << "theta: " << e.what() << " (theta --help lists the commands)\n";
    return 2;
  }
  watch_for_interrupts();
  if (threads > 0)
    use_threads_everywhere(threads);
  Action work = [&] {
    if (!profile.empty())
      start_trace(profile);
    action();
  };
  return ended(status_of(work));
}
