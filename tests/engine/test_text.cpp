// Text: characters, mixtures, language models trained, generated and judged.
#include "data/text.h"
#include "data/zoo_reader.h"
#include "engine/networks/gpt.h"
#include "engine/networks/subset.h"
#include "engine/pipeline/stages/about_line.h"
#include "engine/pipeline/stages/pipeline.h"
#include "engine/tasks/eval_file.h"
#include "engine/tasks/text/text_rows.h"
#include "engine/tasks/text/wording.h"
#include "engine/tasks/text/writer.h"
#include "engine/zoo/mixture.h"
#include "engine/zoo/shown.h"
#include "program_run.h"
#include "tests/scratch.h"
#include <fstream>
#include <map>
#include <numeric>

using namespace theta;
using namespace theta::test;

namespace fs = std::filesystem;

namespace {

// Three languages of few words each, a file a language.
void write_languages(const fs::path &folder, int lines = 60) {
  const std::vector<std::vector<std::string>> words{{"the", "house", "is", "red", "and", "old"},
                                                    {"das", "haus", "ist", "rot", "und", "alt"},
                                                    {"koci", "maly", "dom"}};
  fs::create_directories(folder);
  for (std::size_t c = 0; c < words.size(); ++c) {
    std::ofstream file(folder / (std::string(1, char('a' + c)) + ".txt"));
    for (int line = 0; line < lines; ++line) {
      for (std::uint64_t w = 0; w < 12; ++w)
        file << words[c][philox(1, Purpose::test, std::uint32_t(c), std::uint64_t(line) * 12 + w).word[0] %
                         words[c].size()]
             << (w == 11 ? "\n" : " ");
    }
  }
}

std::string a_run(const fs::path &data) {
  return "[data]\nname = 'text'\nfolder = '" + data.string() +
         "'\n[network]\nkind = 'gpt'\nwidths = [8, 16, 18]\nactivation = 'gelu'\n"
         "subset = ['blocks.*.attn.*.weight', 'blocks.*.mlp.*.weight']\nlow_rank = 1\n"
         "[network.gpt]\ncontext = 9\nblocks = 1\nheads = 2\n"
         "[zoo]\nnetworks = 40\nwave = 16\nsteps = 12\nbatch = 4\nlr = 2e-2\nheld_out = 0.6\nstart = 'shared'\n"
         "mixture = 0.5\nmixture_most = 0.8\npure = 2\ntrunk_steps = 60\ntrunk_batch = 8\n"
         "[fit]\ngenerator = 'subspace'\n[fit.subspace]\nsteps = 40\nwidth = 16\nlayers = 1\nbatch = 8\n"
         "conditions = ['share_a', 'share_b', 'share_c']\n"
         "[sample]\ncount = 10\nbatch = 5\nsolver_steps = 3\nprompt = ['held_out']\n"
         "[eval]\nnetworks = 10\nreferences = 8\n";
}

} // namespace

TEST_CASE("text: folding leaves lower-case letters without accents, zeros, and plain marks") {
  CHECK(folded("Größe: 12 mm — „Ça va?“ ŁÓDŹ…") == "grose: 00 mm - \"ca va?\" lodz...");
  CHECK(folded("a  b\t c \n\n d\f\fe") == "a b c\nd\f\fe");
  CHECK(folded("e\xCC\x81t\xC3\xA9") == "ete");  // an accent of its own, and one with its letter
  CHECK(folded("\xD0\x9F\xE2\x98\x83x") == "x"); // no Latin letters
  CHECK(folded("\xC3") == "a");                  // cut off: the byte by itself
  CHECK(folded("ÿŸſșȚ") == "yysst");
}

TEST_CASE("text: parts share no document, in files or in blocks; codes are those of the alphabet found") {
  const Scratch folder;
  const fs::path pages = folder.path() / "pages";
  fs::create_directories(pages);
  for (const char *name : {"x", "y"}) {
    std::ofstream file(pages / (std::string(name) + ".txt"));
    for (char page = 'A'; page < 'A' + 20; ++page)
      file << name << std::string(5, page) << "\f";
  }
  const TextParts parts = read_text(pages, Alphabet::folded);
  CHECK(parts.classes == std::vector<std::string>{"x", "y"});
  const auto read = [&](const Characters &of, std::size_t c) {
    return text_of(parts.alphabet, {of.codes.begin() + of.begins[c], of.codes.begin() + of.begins[c + 1]});
  };
  CHECK(read(parts.test, 0) == "xaaaaa\nxkkkkk\n"); // documents 0 and 10
  CHECK(read(parts.validation, 1) == "yfffff\nyppppp\n");
  CHECK(parts.train.size(0) == 16 * 7);
  CHECK(read(parts.train, 0).find("aaaaa") == std::string::npos);
  CHECK(codes_of(parts.alphabet, "AZ") == codes_of(parts.alphabet, "a\n")); // no z: no space either, so the first
  CHECK(parts.alphabet.front() == "\n");
  CHECK(read_text(pages, Alphabet::bytes).alphabet.size() == 256);

  const fs::path lines = folder.path() / "lines";
  write_languages(lines);
  const TextParts blocks = read_text(lines, Alphabet::folded);
  CHECK(blocks.classes.size() == 3);
  CHECK(blocks.alphabet.size() == 18);
  for (const Characters *part : {&blocks.train, &blocks.validation, &blocks.test})
    for (std::size_t c = 0; c < 3; ++c)
      CHECK(part->size(c) > 150);

  CHECK_THROWS_AS(read_text(folder.path() / "none", Alphabet::folded), InputError);
  const fs::path small = folder.path() / "small";
  fs::create_directories(small);
  std::ofstream(small / "x.txt") << "too short\n";
  CHECK_THROWS_WITH_AS(read_text(small, Alphabet::folded),
                       doctest::Contains("x: found 10 characters, expected at least 2010"), InputError);
  std::ofstream(small / "x.txt") << std::string(9000, 'q'); // no line ends: cut anywhere
  CHECK(read_text(small, Alphabet::folded).train.size() > 6000);
}

TEST_CASE("text: mixtures add up, none is above the most, and the first held-out runs read one class alone") {
  ZooRecipe r;
  r.held_out = 0.5;
  r.mixture = {0.3, 0.7, 0, 3};
  std::vector<double> mean(4);
  std::vector<int> pure;
  double least = 1, squares = 0;
  int mixed = 0;
  for (long run = 0; run < 2000; ++run) {
    const auto shares = shares_of(r, 1, run, 4);
    CHECK(std::accumulate(shares.begin(), shares.end(), 0.0) == doctest::Approx(1).epsilon(1e-6));
    const float most = *std::max_element(shares.begin(), shares.end());
    if (most == 1) {
      CHECK(is_held_out(run, r.held_out));
      pure.push_back(int(std::max_element(shares.begin(), shares.end()) - shares.begin()));
      continue;
    }
    CHECK(most <= 0.7f + 1e-6f);
    ++mixed;
    for (std::size_t c = 0; c < 4; ++c)
      mean[c] += shares[c], squares += double(shares[c]) * double(shares[c]),
          least = std::min(least, double(shares[c]));
  }
  CHECK(pure == std::vector<int>{0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3});
  for (const double each : mean)
    CHECK(each / mixed == doctest::Approx(0.25).epsilon(0.05));
  CHECK(least < 1e-3);      // of a small concentration most are near to few classes
  r.mixture = {1, 1, 0, 0}; // even over the simplex: E Σ share² = 4·2/(4·5)
  squares = 0;
  for (long run = 0; run < 4000; ++run)
    for (const float each : shares_of(r, 1, run, 4))
      squares += double(each) * double(each) / 4000;
  CHECK(squares == doctest::Approx(0.4).epsilon(0.03));
  r.mixture.least = 0.2;
  int none = 0;
  for (long run = 0; run < 4000; ++run)
    for (const float each : shares_of(r, 1, run, 4)) {
      CHECK((each == 0 || each >= 0.2f));
      none += each == 0;
    }
  CHECK(none / 16000.0 == doctest::Approx(1 - std::pow(0.8, 3)).epsilon(0.03)); // a share is of Beta(1, 3)
  CHECK(shares_of(r, 1, 5, 4) == shares_of(r, 1, 5, 4));
  CHECK(shares_of(r, 1, 5, 4) != shares_of(r, 2, 5, 4));
  CHECK(shares_of(ZooRecipe{}, 1, 5, 4) == std::vector<float>(4, 0.25f));
}

TEST_CASE("text: a network's bits are those of its program on windows of every class, on every device") {
  const Scratch folder;
  write_languages(folder.path());
  Dataset data = load_dataset({.name = "text", .folder = folder.path()});
  NetworkShape shape{{8, 16, 18}, Activation::gelu, Initialisation::pytorch, network_kind_named("gpt")};
  shape.own = GptSettings{9, 1, 2, true};
  const auto theta = some_weights(layout_of(shape), 2);
  for (const auto device : all_devices()) {
    Stream s(device);
    MemoryPlan plan("test");
    Evaluator evaluator(shape, 3 * scored_windows, 2, device.backend, TrainerKind::layer_by_layer);
    evaluator.plan(plan);
    plan.place();
    Arena arena(device, plan);
    evaluator.upload(s, data.text.test);
    copy(s, evaluator.theta(), theta.data(), theta.size() * sizeof(float));
    Scores scores;
    evaluator.score(s, 2, scores, {.shares = {0.5f, 0.25f, 0.25f, 0, 0, 1}});
    REQUIRE(scores.by_class.size() == 6);
    // The first and the last window of the second class, and those between, by hand.
    const Characters &test = data.text.test;
    Stream host{Device{}};
    ProgramRun<double> run(host, shape.kind->program(shape), false, 1, 1);
    const Buffer<double> weights(host,
                                 std::vector<double>(theta.begin(), theta.begin() + std::ptrdiff_t(theta.size() / 2)));
    double loss = 0;
    for (std::size_t w = 0; w < std::size_t(scored_windows); ++w) {
      const std::size_t at = test.begins[1] + w * (test.size(1) - 10) / (scored_windows - 1);
      const Buffer<double> x(host, std::vector<double>(test.codes.begin() + std::ptrdiff_t(at),
                                                       test.codes.begin() + std::ptrdiff_t(at + 9)));
      const auto out = to_host(host, run.program.infer(host, weights, x, 1, 1), 9 * 18);
      for (std::size_t t = 0; t < 9; ++t) {
        double sum = 0;
        for (std::size_t c = 0; c < 18; ++c)
          sum += std::exp(out[t * 18 + c]);
        loss += (std::log(sum) - out[t * 18 + test.codes[at + t + 1]]) / (9 * scored_windows);
      }
    }
    const double near = device.backend == Backend::cuda ? 1e-2 : 1e-4;
    CHECK(double(scores.by_class[1]) == doctest::Approx(loss).epsilon(near));
    CHECK(double(scores.loss[0]) ==
          doctest::Approx(0.5 * double(scores.by_class[0]) + 0.25 * double(scores.by_class[1]) +
                          0.25 * double(scores.by_class[2])));
    CHECK(double(scores.loss[1]) == doctest::Approx(double(scores.by_class[5])));
    CHECK(double(scores.accuracy[1]) == doctest::Approx(double(scores.loss[1]) / std::log(2.0)));
  }
}

TEST_CASE("text: a run trains a trunk and its branches, tells a generator mixtures, and judges what it makes") {
  const Scratch folder;
  write_languages(folder.path() / "data");
  const auto path = folder.path() / "x.toml";
  std::ofstream(path) << a_run(folder.path() / "data");
  const Config config = load_config(path);
  const auto out = folder.path() / "out";
  {
    const Silence silence;
    Pipeline(Run{config, out, Device{}, {}}).all();
  }
  const ZooReader zoo(out / "zoo"), samples(out / "samples"), trunk(out / "zoo" / trunk_folder);
  CHECK(zoo.parameters() == std::size_t(8 + 24 + 8 + 8 + 8 + 16 + 16 + 8));
  // What it learned is what its columns say: a branch gains most where its share is.
  const auto bits = zoo.floats("test_bits");
  const double of_trunk = double(trunk.floats("test_bits")[0]),
               mean = std::accumulate(bits.begin(), bits.end(), 0.0) / 40;
  CHECK(of_trunk < std::log2(18.0)); // it has learned something
  CHECK(mean < of_trunk);
  // Samples are told what the first held-out networks are.
  const auto held_out = zoo.integers("held_out");
  for (const char *column : {"share_a", "share_b", "share_c"}) {
    const auto told = samples.floats(std::string("told_") + column), of = zoo.floats(column);
    std::size_t i = 0;
    for (std::size_t row = 0; row < zoo.rows() && i < 10; ++row)
      if (held_out[row])
        CHECK(told[i++] == of[row]);
    CHECK(i == 10);
  }
  const auto groups = read_eval(out / "eval.json");
  const auto named = [&](const std::string &name) {
    for (const GroupReport &each : groups)
      if (each.name == name)
        return each;
    return GroupReport{};
  };
  const GroupReport held = named("held_out"), generated = named("generated"), retrieval = named("retrieval");
  CHECK(held.figure("gain_pure").value == 1); // beside itself
  CHECK((named("training").figure("gain_mixed").n == 0 && named("training").figure("memorised").n == 0));
  CHECK(held.figure("spread").value == doctest::Approx(1));
  CHECK(held.figure("told_first").n == 6);
  CHECK(generated.of("bits").size() == 10);
  CHECK(generated.figure("memorised").n == 10);
  CHECK(retrieval.figure("memorised").value == 1);                                  // copies
  CHECK(named("ridge").figure("spread").value == doctest::Approx(0).epsilon(1e-6)); // one answer a prompt
  CHECK(named("ridge_and_rest").figure("spread").value > 0.1);
  CHECK(named("told_others").of("bits").size() == 10);
  CHECK(generated.series.contains("joint"));
  CHECK(fs::exists(out / "report" / "bits.png"));
  for (const MemoryPlan &plan : plans_of(config, Backend::cpu))
    CHECK(plan.bytes_on(Backend::cpu) > 0);
  // What a line leaves of a network, and the line, are the network; a file of another key is refused.
  const std::vector<std::string> conditions{"share_a", "share_b", "share_c"};
  std::vector<std::size_t> training;
  for (std::size_t row = 0; row < zoo.rows(); ++row)
    if (!held_out[row])
      training.push_back(row);
  const AboutLine line(zoo, training, conditions, folder.path() / "rest");
  line.save(folder.path() / "line.safetensors", "key");
  const AboutLine loaded(folder.path() / "line.safetensors", "key", zoo.parameters());
  CHECK_THROWS_AS(AboutLine(folder.path() / "line.safetensors", "other", zoo.parameters()), InputError);
  const ZooReader rest(folder.path() / "rest");
  CHECK(rest.rows() == zoo.rows());
  CHECK(rest.floats("share_b") == zoo.floats("share_b"));
  std::vector<float> left(zoo.parameters()), whole(zoo.parameters());
  double of_rest = 0, of_whole = 0;
  for (const std::size_t row : {std::size_t(0), std::size_t(7), zoo.rows() - 1}) {
    const float told[] = {zoo.floats("share_a")[row], zoo.floats("share_b")[row], zoo.floats("share_c")[row]};
    rest.theta(row, left.data()), zoo.theta(row, whole.data());
    for (std::size_t i = 0; i < left.size(); ++i)
      of_rest += double(left[i]) * double(left[i]), of_whole += double(whole[i]) * double(whole[i]);
    std::vector<float> both(left.size());
    loaded.answer(told, both.data());
    for (std::size_t i = 0; i < left.size(); ++i)
      both[i] += left[i];
    CHECK(relative_error(both, whole) <= 1e-5);
  }
  CHECK(of_rest < of_whole);
  CHECK_THROWS_AS(AboutLine(zoo, training, {}, folder.path() / "rest"), InputError);
  // What a network writes is in its zoo's alphabet, and does not depend on what is written beside it.
  const auto alphabet = alphabet_of_zoo(zoo.format().facts, "zoo");
  CHECK(alphabet.size() == 18);
  TextWriter writer(on_trunk_of(config.network, out / "zoo"), Device{});
  std::vector<float> theta(zoo.parameters());
  zoo.theta(0, theta.data());
  const auto start = codes_of(alphabet, "the ");
  CHECK(start.size() == 4);
  CHECK(text_of(alphabet, codes_of(alphabet, "\nThe")) == "\nthe");
  const auto first = writer.write(theta, start, 30, 0.8, 1, 0), again = writer.write(theta, start, 30, 0.8, 1, 0),
             other = writer.write(theta, start, 30, 0.8, 2, 0);
  CHECK(first.size() == 30);
  CHECK((first == again && first != other));
  CHECK(writer.write(theta, start, 30, 0, 1, 0) == writer.write(theta, start, 30, 1e-6, 2, 0)); // the likeliest
  CHECK_THROWS_AS(writer.write(theta, {}, 3, 1, 1, 0), InputError);
  // Wording: of networks that are all alike one text, four times; of others more.
  const std::vector<std::uint8_t> twice{1, 2, 3, 1, 2};
  CHECK(distinct_share({twice}, 2) == 0.75); // 12 23 31 12
  CHECK(distinct_share({twice, twice}, 2) == 0.375);
  CHECK(distinct_share({twice}, 6) == 0);
  Mixtures told{3, {1, 0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0}};
  const auto worded = [&](bool alike) {
    const NetworkSet set{4, [&, alike](std::size_t i, float *to) { zoo.theta(alike ? 0 : 7 * i, to); }};
    return wording_of(writer, set, told, start[3], 1);
  };
  CHECK(worded(true).n == 1);
  CHECK(worded(true).value <= 0.25);
  CHECK(worded(false).value > worded(true).value);
  told.shares[0] = 0.5; // three that were told one class alone
  CHECK(worded(false).n == 0);
}

TEST_CASE("shown: gradients are those of the losses, and training begins with them") {
  const Scratch folder;
  write_languages(folder.path() / "data");
  const auto path = folder.path() / "x.toml", out = folder.path() / "out";
  std::ofstream(path) << a_run(folder.path() / "data");
  const std::vector<std::string> fixed{"network.fixed_a=true", "zoo.networks=12", "zoo.wave=4"};
  const Config config = load_config(path, fixed);
  const Dataset data = load_dataset(config.data.options());
  {
    const Silence silence;
    Pipeline(Run{config, out, Device{}, {}}).run("zoo");
  }
  ZooTask task = task_of(config), later = task;
  task.network = later.network = on_trunk_of(task.network, out / "zoo");
  later.recipe.steps += 2; // its three mini-batches are those behind the two of the first
  ShownExamples first(task, sizes_of(data), 2, 4, Backend::cpu), second(later, sizes_of(data), 3, 4, Backend::cpu),
      alone(task, sizes_of(data), 2, 1, Backend::cpu), one(task, sizes_of(data), 1, 4, Backend::cpu);
  for (ShownExamples *each : {&first, &second, &alone, &one})
    each->begin(Device{}, data);
  const std::size_t v = first.parameters();
  CHECK(first.start() == std::vector<float>(v)); // no change
  std::vector<float> gradient(4 * v), below(4 * v), above(4 * v);
  second.gradients(4, gradient.data());
  const float step = 0.05f;
  for (std::size_t i = 0; i < 4; ++i) {
    double length = 0;
    for (std::size_t j = 0; j < v; ++j)
      length += std::pow(double(gradient[i * v + j]), 2);
    for (std::size_t j = 0; j < v; ++j) {
      const float along = float(double(gradient[i * v + j]) / std::sqrt(length));
      below[i * v + j] = -step * along, above[i * v + j] = step * along;
    }
    gradient[i * v] = float(std::sqrt(length)); // what the slope along it is
  }
  const auto low = first.losses(4, below.data()), high = first.losses(4, above.data());
  for (std::size_t i = 0; i < 4; ++i)
    CHECK((high[i] - low[i]) / (2 * step) == doctest::Approx(gradient[i * v]).epsilon(0.02));
  // The same whatever goes beside it; another run is shown something else.
  std::vector<float> together(4 * v), apart(v);
  first.gradients(4, together.data()), alone.gradients(6, apart.data());
  CHECK(relative_error(std::vector<float>(together.begin() + long(2 * v), together.begin() + long(3 * v)), apart) <=
        1e-5);
  CHECK(relative_error(std::vector<float>(together.begin(), together.begin() + long(v)), apart) > 0.1);
  // Adam's first step is one learning rate against the sign of the gradient.
  std::vector<float> trained(4 * v), single(4 * v);
  one.gradients(4, single.data()), one.train(4, 0.01, trained.data());
  for (std::size_t k = 0; k < 4 * v; ++k)
    CHECK(trained[k] ==
          doctest::Approx(-0.01 * double(single[k]) / (std::abs(double(single[k])) + 1e-8)).epsilon(1e-3));
  // How often each character comes in them: of a run that reads one class alone, that class's letters.
  const auto often = first.summary(0, data); // held out, or not: count what its windows hold
  CHECK(often.size() == data.text.alphabet.size());
  CHECK(std::accumulate(often.begin(), often.end(), 0.0) == doctest::Approx(1));
  long pure = 0;
  while (!is_held_out(pure, config.zoo.recipe.held_out))
    ++pure; // reads the first class, of which no word has an m
  const auto of_first = first.summary(int(pure), data);
  const auto letter = [&](char c) { return of_first[codes_of(data.text.alphabet, std::string(1, c)).at(0)]; };
  CHECK(letter('m') == 0);
  CHECK(letter('e') > 0.05f);
  // Networks that begin each by themselves are refused.
  CHECK_THROWS_AS(ShownExamples(task_of(load_config(path)), sizes_of(data), 1, 4, Backend::cpu), InputError);
}

TEST_CASE("shown: a run is told by example what no network that its generator has seen has read") {
  const Scratch folder;
  write_languages(folder.path() / "data");
  const auto path = folder.path() / "x.toml", out = folder.path() / "out";
  std::ofstream(path) << a_run(folder.path() / "data");
  const std::vector<std::string> set{"network.fixed_a=true", "zoo.networks=80",    "zoo.mixture_least=0.2",
                                     "fit.about_line=true",  "fit.shown=3",        "fit.without=['b']",
                                     "sample.prompt=[]",     "fit.subspace.drop=1"};
  const Config config = load_config(path, set);
  {
    const Silence silence;
    Pipeline(Run{config, out, Device{}, {}}).all();
  }
  const ZooReader zoo(out / "zoo"), samples(out / "samples"), shown(out / "zoo" / "shown");
  const Split split = split_of(zoo, config.fit);
  const auto b = zoo.floats("share_b");
  const auto held_out = zoo.integers("held_out");
  std::size_t seen = 0, asked = 0;
  for (std::size_t row = 0; row < zoo.rows(); ++row)
    seen += !held_out[row] && b[row] == 0, asked += held_out[row] && b[row] > 0;
  CHECK((split.training.size() == seen && split.asked.size() == asked && seen > 5));
  for (const std::size_t row : split.training)
    CHECK(b[row] == 0);
  CHECK(source_of(config, dataset_sizes(config.data.options())).training == seen);
  const auto rows = samples.integers("shown");
  for (std::size_t i = 0; i < rows.size(); ++i)
    CHECK(rows[i] == std::int64_t(split.asked[i % asked]));
  CHECK(shown.rows() == zoo.rows());
  CHECK(shown.integers("run") == zoo.integers("run"));
  std::map<std::string, GroupReport> groups;
  for (GroupReport &each : read_eval(out / "eval.json"))
    groups[each.name] = std::move(each);
  for (const char *name : {"looked", "looked_and_rest", "trained_on_shown", "retrieval", "ridge"})
    CHECK(groups.at(name).of("bits").size() == 10);
  CHECK(groups.at("held_out").figure("told_first").n == 2); // two networks read b alone
  CHECK(groups.at("looked").figure("gain_pure").value > groups.at("retrieval").figure("gain_pure").value);
  // A text of one's own: all samples are shown it.
  const auto text = folder.path() / "mine.txt";
  std::ofstream(text) << std::string(40, 'd') + " das haus ist alt und rot " + std::string(40, 'd') << "\n";
  const Config mine = load_config(path, [&] {
    auto all = set;
    all.push_back("sample.shown='" + text.string() + "'");
    return all;
  }());
  {
    const Silence silence;
    Pipeline pipeline(Run{mine, out, Device{}, {}});
    pipeline.run("sample");
    CHECK(ZooReader(out / "samples").integers("shown") == std::vector<std::int64_t>(10, -1));
    CHECK_THROWS_WITH_AS(pipeline.run("eval"), doctest::Contains("nothing says beside which networks"), InputError);
  }
  for (const char *wrong : {"fit.about_line=false", "sample.prompt=['held_out']", "fit.shown=-1", "sample.watch=2"}) {
    auto all = set;
    all.push_back(wrong);
    CHECK_THROWS_AS(load_config(path, all), InputError);
  }
  CHECK_THROWS_WITH_AS(load_config(path, {"sample.shown='x'"}), doctest::Contains("expected fit.shown"), InputError);
}

TEST_CASE("text: what does not go with it is refused") {
  const Scratch folder;
  write_languages(folder.path() / "data");
  const auto path = folder.path() / "x.toml";
  std::ofstream(path) << a_run(folder.path() / "data");
  for (const char *wrong :
       {"zoo.start=base", "zoo.crop=1", "zoo.label_noise=0.1", "zoo.start=trunk", "zoo.stop_psnr=20",
        "network.low_rank=9", "data.alphabet=morse", "network.subset=[]", "sample.prompt=['heldout']"})
    CHECK_THROWS_AS(load_config(path, {wrong}), InputError);
  CHECK_THROWS_AS(check_fits(load_config(path, {"network.widths=[8,16,19]"}).network,
                             dataset_sizes({.name = "text", .folder = folder.path() / "data"})),
                  InputError);
}
