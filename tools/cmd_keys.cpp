// theta keys [PREFIX]: every key of a configuration, with its default, its limits and its meaning.
#include "data/json.h"
#include "engine/settings/nearest.h"
#include "tools/options.h"
#include <fmt/core.h>

namespace theta {

void add_keys_command(CLI::App &app, Action &action) {
  auto *command = app.add_subcommand("keys", "every key of a configuration: default, limits, meaning");
  struct Options {
    std::string prefix, generator, kind;
    bool schema = false;
  };
  auto o = std::make_shared<Options>();
  command->add_option("PREFIX", o->prefix, "keys that begin so: zoo, fit.transformer, eval.n");
  command->add_option("--generator", o->generator, "without what other generators alone have");
  command->add_option("--kind", o->kind, "without what other kinds of networks alone have");
  command->add_flag("--schema", o->schema, "as JSON Schema, which editors complete and check TOML by");
  command->callback([&action, o] {
    action = [o] {
      auto keys = configuration_keys(o->generator, o->kind);
      if (o->schema) {
        fmt::print("{}\n", schema_of(keys).dump(1));
        return;
      }
      std::vector<std::string> all;
      for (const ListedKey &key : keys)
        all.push_back(key.path);
      std::erase_if(keys, [&](const ListedKey &key) { return !key.path.starts_with(o->prefix); });
      if (keys.empty())
        throw InputError("keys: found no key that begins with '", o->prefix, "', expected one such as '",
                         nearest_first(all, o->prefix).front(), "'");
      for (const ListedKey &key : keys)
        fmt::print("{} = {}\n    {} ({})\n", key.path, key.initial.empty() ? "(none)" : key.initial, key.meaning,
                   limits_of(key));
    };
  });
}

} // namespace theta
