#include "apps/lambdaml/image_commands.h"

#include <algorithm>
#include <cctype>
#include <fmt/format.h>
#include <span>
#include <utility>
#include <vector>

#include "lambdaml/base/error.h"
#include "lambdaml/picture/picture.h"
#include "lambdaml/place/image_place.h"
#include "lambdaml/place/place.h"
#include "lambdaml/train/cnn_evaluation.h"

namespace lambdaml::cli {
namespace {

bool IsPictureName(std::string name) {
  std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::tolower(c); });
  return name.ends_with(".png") || name.ends_with(".jpg") || name.ends_with(".jpeg");
}

// A picture becomes one record, of no known class.
data::ImageSet LoadPicture(const std::string& place) {
  const base::Blob file = place::Read(place);
  const std::vector<uint8_t> planes =
      picture::PlanesOf(picture::DecodePicture(file.span(), place), data::kImageSide, place);
  base::Bytes record = {std::byte{0}};
  const auto pixels = std::as_bytes(std::span(planes));
  record.insert(record.end(), pixels.begin(), pixels.end());
  return data::ImageSet(base::Blob(std::move(record)));
}

// Of a folder its test images, if it has any: a network is judged by those.
data::ImageSet LoadImages(const std::string& place, int64_t n_classes) {
  const place::ImagePlace images = place::OpenImages(place);
  if (images.folder && images.folder->test) {
    return data::LoadTestImages(*images.folder, n_classes).value();
  }
  return place::LoadImages(images, n_classes);
}

}  // namespace

std::string PredictClasses(const train::CnnModel& model, const PredictArguments& arguments) {
  const data::ImageSet images = IsPictureName(place::NameOf(arguments.data))
                                    ? LoadPicture(arguments.data)
                                    : LoadImages(arguments.data, data::kImageClassesMax);
  const std::vector<float> probabilities = train::PredictImages(model, images, arguments.model);
  std::string text;
  if (arguments.probabilities) {
    text += "labels";
    for (int64_t k = 0; k < model.n_classes; ++k) text += fmt::format(" {}", k);
    text += '\n';
  }
  for (int64_t row = 0; row < images.rows(); ++row) {
    const float* const own = probabilities.data() + row * model.n_classes;
    text += fmt::format("{}", train::ClassOf(own, model.n_classes));
    for (int64_t k = 0; arguments.probabilities && k < model.n_classes; ++k) {
      text += fmt::format(" {}", own[k]);
    }
    text += '\n';
  }
  return text;
}

base::Json EvaluateClasses(const train::CnnModel& model, const EvaluateArguments& arguments) {
  if (IsPictureName(place::NameOf(arguments.data))) {
    throw base::Error(
        base::ErrorCode::kInvalidArgument,
        fmt::format("{}: a picture has no label to evaluate by; use predict", arguments.data));
  }
  const train::CnnEvaluation evaluation =
      train::EvaluateImages(model, LoadImages(arguments.data, model.n_classes), arguments.model);
  base::Json confusion = base::Json::EmptyArray();
  for (int64_t k = 0; k < model.n_classes; ++k) {
    base::Json counts = base::Json::EmptyArray();
    for (int64_t j = 0; j < model.n_classes; ++j) {
      counts.Append(evaluation.confusion[static_cast<size_t>(k * model.n_classes + j)]);
    }
    confusion.Append(std::move(counts));
  }
  return base::Json::Object{{"rows", evaluation.rows},
                            {"loss", evaluation.loss},
                            {"accuracy", evaluation.accuracy},
                            {"confusion", std::move(confusion)}};
}

std::string FormatConfusion(const base::Json& confusion) {
  const base::Json::Array& rows = confusion.AsArray();
  int64_t most = 0;
  for (const base::Json& row : rows) {
    for (const base::Json& count : row.AsArray()) most = std::max(most, count.AsInteger());
  }
  const size_t width =
      std::max(fmt::format("{}", most).size(), fmt::format("{}", rows.size() - 1).size());
  std::string text = "confusion: a line for each class, with what its images were taken for\n     ";
  for (size_t k = 0; k < rows.size(); ++k) text += fmt::format(" {:>{}}", k, width);
  text += '\n';
  for (size_t k = 0; k < rows.size(); ++k) {
    text += fmt::format("{:>5}", k);
    for (const base::Json& count : rows[k].AsArray()) {
      text += fmt::format(" {:>{}}", count.AsInteger(), width);
    }
    text += '\n';
  }
  return text;
}

}  // namespace lambdaml::cli
