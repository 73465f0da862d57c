// theta device: what theta can run on here.
#include "data/json.h"
#include "tools/options.h"
#include <fmt/core.h>

namespace theta {

void add_device_command(CLI::App &app, Action &action) {
  auto *command = app.add_subcommand("device", "list the devices of this machine");
  auto json = std::make_shared<bool>(false);
  command->add_flag("--json", *json, "print the same facts as JSON");
  command->callback([&action, json] {
    action = [json] {
      Json all = Json::array();
      for (const auto &d : devices()) {
        all.push_back({{"name", d.device.name()},
                       {"description", d.description},
                       {"memory_bytes", d.memory},
                       {"units", d.units},
                       {"capability", d.capability}});
        if (!*json)
          fmt::print("{:<8} {}, {}, {} {}, {}\n", d.device.name(), d.description, text_of_bytes(d.memory), d.units,
                     d.device.backend == Backend::cpu ? "threads" : "multiprocessors", d.capability);
      }
      if (*json)
        fmt::print("{}\n", Json{{"built_with_cuda", built_with_cuda}, {"devices", all}}.dump(1));
      else if (!built_with_cuda)
        fmt::print("this build has no CUDA kernels: 'make CUDA=1' compiles them\n");
    };
  });
}

} // namespace theta
