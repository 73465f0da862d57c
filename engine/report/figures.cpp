#include "figures.h"

namespace theta {

namespace {

constexpr FigureText of_each[] = {
    {"accuracy", "quality", "Accuracy", "%", "", "the share of images that a network gets right", true},
    {"loss", "quality", "Loss", "nats", "", "mean cross-entropy"},
    {"ece", "quality", "Calibration error", "%", "",
     "how far a network's confidence is from its accuracy, over 15 bins of confidence (ECE); 0 is calibrated", true},
    {"psnr", "novelty", "Likeness to the nearest training image", "dB", "",
     "the peak signal-to-noise ratio of what a field shows beside it"},
    {"distance", "novelty", "Distance to the nearest training shape", "Chamfer", "", "between points of the surfaces"},
    {"max_iou", "novelty", "Overlap of mistakes", "IoU", "",
     "the largest overlap of a network's wrong answers with those of a training network; 1 is the same mistakes"},
    {"nearest_l2", "novelty", "Distance to the nearest training network", "L2", "",
     "by whatever distances are compared: plain, or after the best assignment of units"},
    {"control_l2", "novelty", "Distance to the nearest control network", "L2", "",
     "to as many held-out networks that no generator has seen"},
    {"nearest_ratio", "novelty", "Nearest over second nearest", "ratio", "",
     "distance to the nearest training network over that to the second nearest; a copy is near one alone"},
    {"raw_l2", "novelty", "Distance as networks lie", "L2", "",
     "to the nearest training network, units in their places, unbalanced"},
    {"canonical_l2", "novelty", "Distance of canonical forms", "L2", "",
     "to the nearest training network, balanced, units in the order of their norms"},
    {"hull", "novelty", "Distance to the hull", "ratio", "",
     "from the convex hull of the nearest training networks, within what they span; averages have 0"},
    {"span", "novelty", "Distance to the span", "ratio", "",
     "from all combinations of the nearest training networks; a subspace of them has 0"},
    {"raw_span", "novelty", "Distance to the span, as networks lie", "ratio", "", "the same without alignment"},
    {"norm", "diversity", "Norm", "L2", "", "of the weights; averages shrink"},
    {"barrier", "landscape", "Barrier", "nats", "",
     "the most that the loss rises above the chord on the straight line to the nearest training network, aligned where "
     "distances are assigned"},
    {"raw_barrier", "landscape", "Barrier, as networks lie", "nats", "", "the same without alignment"},
    {"hessian_top", "landscape", "Largest curvature", "", "", "the largest eigenvalue of the loss's Hessian (Lanczos)"},
    {"hessian_trace", "landscape", "Total curvature", "", "", "the trace of the loss's Hessian (Hutchinson)"},
    {"twin_l2", "agreement", "Distance to the twin", "L2", "",
     "from what another generator, of other training networks, makes of the same noise"},
};

constexpr FigureText of_group[] = {
    {"recognised", "quality", "Recognised", "%", "",
     "the share that shows what was asked for: by a classifier's eye, or by the nearest training shape", true},
    {"iou", "quality", "Overlap with its own body", "IoU", "", "inside of both over inside of either, in the mean"},
    {"frechet", "quality", "Fréchet distance", "", "", "of a classifier's features, to those of held-out images"},
    {"precision", "quality", "Precision", "%", "", "the share that lies among held-out images, by the same", true},
    {"recall", "diversity", "Recall", "%", "", "the share of held-out images that lie among these, by the same", true},
    {"mmd_chamfer", "diversity", "Minimum matching distance", "Chamfer", "",
     "from a held-out shape to the nearest of the group, in the mean"},
    {"coverage_chamfer", "diversity", "Coverage", "%", "",
     "the share of held-out shapes that are the nearest one of some shape of the group", true},
    {"one_nna_chamfer", "diversity", "Told from held-out shapes", "%", "",
     "how often the nearest neighbour is of one's own kind (1-NNA, Chamfer); 50 % where nobody can tell", true},
    {"one_nna_earth_mover", "diversity", "Told from held-out shapes, matched", "%", "",
     "the same by the earth mover's distance", true},
    {"joint_bar", "novelty", "Bar of good networks", "%", "", "the accuracy that the joint curve asks for", true},
    {"joint_spread", "novelty", "What training networks are apart", "L2", "",
     "the median distance to the nearest one, of other runs"},
    {"joint_neighbours", "novelty", "The same, with a run's own checkpoints", "L2", "",
     "how much lower the median is where they count"},
    {"memorised_images", "novelty", "Memorised images", "%", "",
     "nearer to a training image than to any of as many control images; 50 % is no memory", true},
    {"memorised", "novelty", "Memorised", "%", "",
     "nearer to a training network than to any of as many control networks; 50 % is no memory", true},
    {"z_u", "novelty", "Z_U", "", "", "distances to training networks against held-out ones'; below 0 is nearer"},
    {"near", "novelty", "Nearer than held-out's nearest 1 %", "%", "",
     "the share that lies nearer to training networks than 99 % of held-out networks do", true},
    {"beyond_noise", "novelty", "Beyond noise", "%", "",
     "the share whose mistakes overlap less than those of noise copies that are as accurate", true},
    {"closer_by_nearest_ratio", "novelty", "Near one network alone", "%", "",
     "the share of copies, by the verdict's rule", true},
    {"closer_by_hull", "novelty", "Deeper in the hull", "%", "", "the share of averages, by the verdict's rule", true},
    {"closer_by_span", "novelty", "Nearer to the span", "%", "", "the share of combinations, by the verdict's rule",
     true},
    {"closer_by_raw_span", "novelty", "Nearer to the span, as networks lie", "%", "", "the same without alignment",
     true},
    {"pairwise", "diversity", "Distance between two of the group", "L2", "", "the mean over pairs"},
    {"pairwise_iou", "diversity", "Overlap of mistakes within the group", "IoU", "", "the mean over pairs"},
    {"variance", "diversity", "Variance", "", "", "the trace of the covariance, networks aligned"},
    {"dimension", "diversity", "Dimension", "", "",
     "the covariance's participation ratio: how many directions share it"},
    {"coverage", "diversity", "Coverage", "%", "",
     "the share of held-out networks that are the nearest one of some network of the group", true},
    {"mmd", "diversity", "Minimum matching distance", "L2", "",
     "from a held-out network to the nearest of the group, in the mean"},
    {"one_nna", "diversity", "Told from held-out networks", "%", "",
     "how often the nearest neighbour is of one's own kind (1-NNA); 50 % where nobody can tell", true},
    {"agreement", "agreement", "Agreement", "ratio", "",
     "distance to the twin over that between two of the group; 0: both generators make the same of the same noise"},
};

constexpr FigureText of_series[] = {
    {"ensemble", "quality", "Ensembles", "networks", "accuracy", "accuracy of averaged probabilities"},
    {"joint", "novelty", "Good and new at once", "times what training networks are apart", "share",
     "the share that is at least as accurate as the bar and farther from every training network compared with"},
    {"frontier", "novelty", "Noise copies' frontier", "accuracy", "largest IoU of mistakes",
     "noise copies' overlap of mistakes against their accuracy"},
    {"pairwise", "diversity", "Distances between two of the group", "quantile", "L2", "quantiles over pairs"},
    {"spectrum", "diversity", "Spectrum", "direction", "variance", "eigenvalues of the covariance"},
    {"line", "landscape", "Loss on the way to the nearest training network", "share of the way", "loss",
     "straight lines, aligned where distances are assigned"},
    {"tensor_norms", "landscape", "Norms", "tensor", "L2", "of each tensor, weights and biases in their order"},
    {"raw_line", "landscape", "The same, as networks lie", "share of the way", "loss", "straight lines, not aligned"},
};

} // namespace

std::span<const FigureText> figures_of_each() { return of_each; }
std::span<const FigureText> figures_of_group() { return of_group; }
std::span<const FigureText> series_of_group() { return of_series; }

} // namespace theta
