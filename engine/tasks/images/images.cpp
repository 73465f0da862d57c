// Networks that tell images apart.
#include "engine/report/report.h"
#include "suite.h"
#include <numeric>

namespace theta {

namespace {

class ImagesTask : public Task {
public:
  const char *name() const override { return "images"; }
  bool takes(const NetworkShape &shape, const DatasetSizes &sizes, const ZooReader *) const override {
    return std::string_view(shape.kind->learns(shape)) == "labels" && sizes.dimensions == 2 &&
           inputs_of(shape) == sizes.values() && outputs_of(shape) == sizes.classes;
  }
  bool scores() const override { return true; }
  std::vector<MemoryPlan> plans(const EvalSizes &of) const override {
    const std::size_t images = of.eval.images_of(of.data);
    if (images == 0)
      throw InputError("eval.part: found ", of.eval.part, ", which holds no image");
    return copies_of(CompareJudges(of.eval, of.shape, images, of.training, of.held_out, of.backend, of.budget).plans());
  }
  std::vector<GroupReport> judge(const EvalWork &work, Journal &journal) const override {
    return compare(work, journal);
  }
  std::string table(const std::vector<GroupReport> &reports) const override { return table_of(reports); }
  std::vector<std::filesystem::path> draw(const EvalWork &work, const std::vector<GroupReport> &reports,
                                          const std::filesystem::path &folder,
                                          const std::filesystem::path &metrics) const override {
    const NetworkSet training = choose(work.zoo, work.training, std::size_t(work.eval.references), work.seed, 0);
    std::vector<std::size_t> rows(work.samples->rows());
    std::iota(rows.begin(), rows.end(), std::size_t(0));
    NetworkSet generated = rows_of(*work.samples, rows);
    generated.source.clear(); // rows of another zoo
    std::optional<AssignedDistance> assigned;
    if (work.eval.distance == DistanceKind::assigned)
      assigned.emplace(work.shape);
    return draw_report(folder, metrics, reports,
                       {generated, training, assigned, work.zoo.format().layout, work.data.side});
  }
};

} // namespace

std::unique_ptr<const Task> make_images_task() { return std::make_unique<ImagesTask>(); }

} // namespace theta
