// data describe | split | convert | generate.
#include <filesystem>
#include <fmt/format.h>
#include <utility>

#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/units.h"
#include "lambdaml/data/describe.h"
#include "lambdaml/data/generate.h"
#include "lambdaml/data/idx.h"
#include "lambdaml/data/select.h"
#include "lambdaml/data/shards.h"
#include "lambdaml/data/split.h"
#include "lambdaml/place/data_place.h"
#include "lambdaml/place/place.h"
#include "lambdaml/store/open_store.h"

#include "apps/lambdaml/commands.h"

namespace lambdaml::cli {
namespace {

constexpr base::Duration kShardTimeout = std::chrono::minutes(10);

data::Dataset Load(const DataInput& input) {
  return place::LoadData(input.path, {.index_base = input.index_base,
                                      .n_features = input.n_features,
                                      .layout = data::LayoutFromName(input.layout).value()});
}

data::FileFormat FormatOf(const std::string& format, const std::string& output) {
  if (format.empty()) return data::FormatOfName(place::NameOf(output));
  return format == "npz" ? data::FileFormat::kNpz : data::FileFormat::kLibsvm;
}

std::string Count(int64_t count) { return base::FormatCount(static_cast<uint64_t>(count)); }

std::string FormatDescription(const data::Description& description) {
  std::string text = fmt::format(
      "rows       {}\nfeatures   {}\nnon-zeros  {} ({:.4g} %)\nlayout     {}\nvalues     {:.6g} to "
      "{:.6g}\n",
      Count(description.rows), Count(description.n_features), Count(description.nonzeros),
      100 * description.density, data::LayoutName(description.layout), description.value_min,
      description.value_max);
  if (!description.labels) return text + "labels     too many to be classes\n";
  for (const data::LabelCount& count : *description.labels) {
    text += fmt::format("label      {}: {} rows\n", count.label, Count(count.rows));
  }
  return text;
}

}  // namespace

void Run(const DescribeArguments& arguments) {
  const data::Description description = data::Describe(Load(arguments.data));
  WriteOutput(arguments.json ? data::ToJson(description).Dump() + "\n"
                             : FormatDescription(description));
}

void Run(const SplitArguments& arguments) {
  const data::Dataset dataset = Load(arguments.data);
  const std::unique_ptr<store::Store> folder = store::OpenStore(arguments.output);
  data::SplitOptions options = {.parts = arguments.parts, .format = FormatOf(arguments.format, "")};
  if (arguments.shuffle) options.shuffle_seed = arguments.seed;
  const data::Manifest manifest =
      data::Split(dataset, options, [&](std::string_view name, base::ByteSpan bytes) {
        folder->Put(std::string(name), bytes, base::Deadline::After(kShardTimeout));
      });
  WriteOutput(fmt::format("{} rows in {} shards, with {}, in {}\n", Count(manifest.rows),
                          manifest.shards.size(), data::kManifestName, arguments.output));
}

void Run(const ConvertArguments& arguments) {
  data::Dataset dataset = Load(arguments.data);
  if (!arguments.labels.empty()) {
    const std::string& labels = arguments.labels;
    dataset = data::WithLabels(std::move(dataset), data::LoadIdxLabels(place::Read(labels), labels),
                               labels);
  }
  place::SaveData(dataset, arguments.output, FormatOf(arguments.format, arguments.output));
}

void Run(const GenerateArguments& arguments) {
  const data::GenerateOptions options = {
      .kind = data::GeneratorKindFromName(arguments.kind).value(),
      .rows = arguments.rows,
      .seed = arguments.seed,
      .n_features = arguments.n_features,
      .n_classes = arguments.n_classes};
  const data::FileFormat format = FormatOf(arguments.format, arguments.output);
  if (place::IsLocal(arguments.output)) {
    data::GenerateFile(options, place::PathOf(arguments.output), format);
  } else {
    place::SaveData(data::Generate(options), arguments.output, format);
  }
}

}  // namespace lambdaml::cli
