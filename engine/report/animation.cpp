#include "animation.h"
#include "data/atomic_file.h"
#include "kernels/device/error.h"
#include <gif_lib.h>

namespace theta {

namespace {

int append(GifFileType *gif, const GifByteType *bytes, int n) {
  static_cast<std::string *>(gif->UserData)->append(reinterpret_cast<const char *>(bytes), std::size_t(n));
  return n;
}

void check(int result, const char *what) {
  if (result != GIF_OK)
    throw Error("gif: ", what, " failed");
}

} // namespace

void save_gif(const std::filesystem::path &path, const std::vector<Canvas> &frames, double seconds) {
  if (frames.empty())
    throw InputError(path.string(), ": found no frame");
  const int width = frames[0].width(), height = frames[0].height();
  std::string bytes;
  int failed = 0;
  const std::unique_ptr<GifFileType, void (*)(GifFileType *)> gif(EGifOpen(&bytes, append, &failed),
                                                                  [](GifFileType *g) { EGifCloseFile(g, nullptr); });
  if (!gif)
    throw Error("gif: cannot begin");
  EGifSetGifVersion(gif.get(), true); // 89a: with times
  check(EGifPutScreenDesc(gif.get(), width, height, 8, 0, nullptr), "the screen");
  const GifByteType forever[] = {1, 0, 0};
  check(EGifPutExtensionLeader(gif.get(), APPLICATION_EXT_FUNC_CODE), "the loop");
  check(EGifPutExtensionBlock(gif.get(), 11, "NETSCAPE2.0"), "the loop");
  check(EGifPutExtensionBlock(gif.get(), sizeof forever, forever), "the loop");
  check(EGifPutExtensionTrailer(gif.get()), "the loop");
  const auto n = std::size_t(width) * std::size_t(height);
  std::vector<GifByteType> red(n), green(n), blue(n), index(n);
  for (const Canvas &frame : frames) {
    if (frame.width() != width || frame.height() != height)
      throw InputError(path.string(), ": found a frame of ", frame.width(), " x ", frame.height(), ", expected ", width,
                       " x ", height);
    for (std::size_t i = 0; i < n; ++i)
      red[i] = frame.rgb()[3 * i], green[i] = frame.rgb()[3 * i + 1], blue[i] = frame.rgb()[3 * i + 2];
    const std::unique_ptr<ColorMapObject, void (*)(ColorMapObject *)> colors(GifMakeMapObject(256, nullptr),
                                                                             GifFreeMapObject);
    int used = 256;
    check(GifQuantizeBuffer(unsigned(width), unsigned(height), &used, red.data(), green.data(), blue.data(),
                            index.data(), colors->Colors),
          "finding colours");
    GraphicsControlBlock control{DISPOSE_DO_NOT, false, int(100 * seconds + 0.5), NO_TRANSPARENT_COLOR};
    GifByteType extension[4];
    EGifGCBToExtension(&control, extension);
    check(EGifPutExtension(gif.get(), GRAPHICS_EXT_FUNC_CODE, 4, extension), "a time");
    check(EGifPutImageDesc(gif.get(), 0, 0, width, height, false, colors.get()), "a frame");
    check(EGifPutLine(gif.get(), index.data(), int(n)), "a frame");
  }
  append(gif.get(), reinterpret_cast<const GifByteType *>(";"), 1);
  write_file(path, bytes);
}

} // namespace theta
