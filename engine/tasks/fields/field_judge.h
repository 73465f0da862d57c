// Are generated fields pictures of what was asked for, as various as true ones, and new? Groups of image fields,
// measured by what they show.
#pragma once
#include "engine/analysis/nearest.h"
#include "field_rows.h"
#include "image_judge.h"
#include "renderer.h"

namespace theta {

struct FieldReport {
  std::string name;
  std::size_t networks = 0, broken = 0; // broken: values that are not finite
  Share recognised;                     // of those with a class, what the judge sees as it; n = 0 where none has one
  double frechet = 0;                   // to the held-out references, by the judge's features
  PrecisionRecall covers;               // of the references, by the same
  WithinClasses in_class{};             // likewise, of those with a class
  Share memorised, memorised_images;    // nearer to training fields than to control ones: by weights; to training
                                        // images than to control ones: by pixels
  std::vector<float> psnr;              // of each, in decibels, beside the training image that is nearest
  std::vector<std::size_t> image;       // which that is: of the data set's training part
};

class FieldJudge {
public:
  // Throws InputError for networks that are not fields of such images.
  FieldJudge(const NetworkShape &, const DatasetSizes &, int side, int wave, std::uint64_t seed, Backend);
  std::vector<const MemoryPlan *> plans() const;

  // Trains its classifier. `references`: held-out fields that no group has; `training` and `control`: equally many
  // fields, of signals that are in the zoo's rows. All must live as long.
  void start(Device, const Dataset &, const GroupNetworks &references, GroupNetworks training, GroupNetworks control,
             Journal &);
  FieldReport judge(const std::string &name, const GroupNetworks &);

private:
  std::vector<float> pictures_of(const NetworkSet &, std::vector<char> &broken); // clipped to 0..1
  NetworkSet images_of(const std::vector<std::size_t> &signals) const;

  FieldRenderer renderer_;
  ImageJudge judge_;
  NearestSearch weights_, pixels_;
  Device device_;
  const Dataset *data_ = nullptr;
  GroupNetworks training_, control_;
  Features references_;
  std::vector<int> reference_labels_; // none: empty
};

} // namespace theta
