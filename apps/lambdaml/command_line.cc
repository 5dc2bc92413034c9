#include "apps/lambdaml/command_line.h"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <map>

#include <CLI/CLI.hpp>

#include "lambdaml/base/error.h"
#include "lambdaml/base/spelling.h"
#include "lambdaml/wire/job_options.h"

#include "apps/lambdaml/cloud_command_line.h"
#include "apps/lambdaml/version.h"

namespace lambdaml::cli {
namespace {

constexpr const char* kDescription =
    "Trains machine-learning models on serverless functions.\n"
    "\n"
    "  lambdaml train --model lr --data heart_scale --workers 4 --output heart.model\n"
    "  lambdaml evaluate heart.model --data heart_scale";

constexpr const char* kExitCodes =
    "Exit codes: 0 success, 1 a bug, 2 wrong usage, 3 bad or missing input, 4 the job failed\n"
    "(a worker, the channel or the machine), 130 interrupted.";

constexpr const char* kTrainExamples =
    "Examples:\n"
    "  lambdaml train --model lr --data higgs.libsvm --workers 4\n"
    "  lambdaml train --model mobilenet --data cifar-10-batches-bin --workers 2 --n_epochs 5\n"
    "  lambdaml train job.toml --seed 7 --log run.jsonl\n"
    "A job file (TOML, or the JSON payload of a LambdaML trigger) holds the same names:\n"
    "`model = \"lr\"`; the command line overrides it.\n"
    "A PLACE is a path, or a URL such as s3://bucket/folder/name. More options: --help-all.";

std::string_view GroupTitle(wire::OptionGroup group) {
  switch (group) {
    case wire::OptionGroup::kData:
      return "Data";
    case wire::OptionGroup::kModel:
      return "Model";
    case wire::OptionGroup::kAlgorithm:
      return "Algorithm";
    case wire::OptionGroup::kFunctions:
      return "Functions";
    case wire::OptionGroup::kDetails:
    case wire::OptionGroup::kLambdaml:
    case wire::OptionGroup::kInternal:
      break;
  }
  return "";  // CLI11 hides the group without a title
}

// One line: an enumeration's names would not fit beside the option's own.
std::string HelpOf(const wire::JobOption& option) {
  if (option.choices.empty()) return std::string(option.help);
  return fmt::format("{}: {}", fmt::join(option.choices, "|"), option.help);
}

// Accepts --sync-mode for --sync_mode.
std::string WithUnderscores(std::string argument) {
  if (!argument.starts_with("--")) return argument;
  const size_t end = std::min(argument.find('='), argument.size());
  std::replace(argument.begin() + 2, argument.begin() + static_cast<ptrdiff_t>(end), '-', '_');
  return argument;
}

class Parser {
 public:
  Parser() : app_(kDescription, "lambdaml") {
    app_.set_version_flag("--version", std::string("lambdaml ") + kVersion);
    app_.require_subcommand(1);
    app_.footer(kExitCodes);
    app_.get_formatter()->column_width(30);
    AddTrain();
    AddPredict();
    AddEvaluate();
    AddData();
    AddPs();
    cloud_.AddTo(app_);
  }

  Command Parse(std::vector<std::string> arguments) {
    std::transform(arguments.begin(), arguments.end(), arguments.begin(), WithUnderscores);
    if (std::ranges::find(arguments, "--help_all") != arguments.end()) {
      for (CLI::Option* detail : details_) detail->group("Details");
    }
    std::reverse(arguments.begin(), arguments.end());  // as CLI11 takes a vector
    try {
      app_.parse(std::move(arguments));
    } catch (const CLI::CallForHelp&) {
      return ShowText{HelpText()};
    } catch (const CLI::CallForVersion&) {
      return ShowText{std::string("lambdaml ") + kVersion + "\n"};
    } catch (const CLI::ParseError& error) {
      throw base::Error(base::ErrorCode::kInvalidArgument,
                        fmt::format("{}; see `{} --help`", Explain(error), DeepestName()));
    }
    return Chosen();
  }

 private:
  void AddTrain() {
    train_app_ = app_.add_subcommand("train", "Train a model");
    train_app_->set_help_flag("-h,--help,--help_all")->group("");  // the list is long enough
    train_app_
        ->add_option("job_file", train_.job_file,
                     "job file: TOML, or the JSON payload of a LambdaML trigger")
        ->type_name("FILE")
        ->group("");  // the examples tell of it
    for (const wire::JobOption& option : wire::JobOptions()) {
      if (option.group == wire::OptionGroup::kInternal) continue;
      std::string names = fmt::format("--{}", option.name);
      if (!option.alias.empty()) names += fmt::format(",--{}", option.alias);
      const std::string name(option.name);
      CLI::Option* added = train_app_->add_option_function<std::string>(
          names, [this, name](const std::string& text) { train_.options.emplace_back(name, text); },
          HelpOf(option));
      added->group(std::string(GroupTitle(option.group)));
      if (option.group == wire::OptionGroup::kDetails) details_.push_back(added);
      added->type_name(option.choices.empty() ? std::string(option.placeholder) : "NAME");
    }
    train_app_->footer(kTrainExamples);
  }

  void AddPredict() {
    predict_app_ = app_.add_subcommand("predict", "Write a model's predictions for a data set");
    AddModelAndData(*predict_app_, predict_.model, predict_.data, predict_.index_base);
    predict_app_
        ->add_option("--output", predict_.output, "a line per row: label, or cluster and distance")
        ->required()
        ->type_name("FILE");
    predict_app_->add_flag("--probabilities", predict_.probabilities,
                           "the probability of each class after the label (lr, networks)");
    predict_app_->footer(
        "Example:\n  lambdaml predict heart.model --data heart_scale --output labels.txt");
  }

  void AddEvaluate() {
    evaluate_app_ =
        app_.add_subcommand("evaluate", "Loss, accuracy and confusion, or inertia, of a model");
    AddModelAndData(*evaluate_app_, evaluate_.model, evaluate_.data, evaluate_.index_base);
    evaluate_app_->add_flag("--json", evaluate_.json, "one JSON object instead of text");
    evaluate_app_->footer("Example:\n  lambdaml evaluate heart.model --data heart_scale --json");
  }

  static void AddModelAndData(CLI::App& command, std::string& model, std::string& data,
                              int& index_base) {
    command.add_option("model", model, "model file: LIBLINEAR's format, centroids, safetensors")
        ->required()
        ->type_name("FILE");
    command.add_option("--data", data, "data set, or for networks a .png or .jpg file too")
        ->required()
        ->type_name("PATH");
    command
        .add_option("--index_base", index_base, "number of the first feature in libsvm text [1]")
        ->type_name("0|1")
        ->check(CLI::Range(0, 1));
  }

  static void AddDataInput(CLI::App& command, DataInput& input) {
    command
        .add_option("data", input.path,
                    "libsvm text, idx or CIFAR images (plain, .gz, .zst), shard, folder")
        ->required()
        ->type_name("PATH");
    command
        .add_option("--index_base", input.index_base,
                    "number of the first feature in libsvm text [1]")
        ->type_name("0|1")
        ->check(CLI::Range(0, 1));
    command.add_option("--n_features", input.n_features, "width of the data [largest index found]")
        ->type_name("N")
        ->check(CLI::Range(int64_t{1}, int64_t{2147483647}));
    command.add_option("--n_classes", input.n_classes, "classes of CIFAR images (.bin) [10]")
        ->type_name("N")
        ->check(CLI::Range(int64_t{1}, int64_t{256}));
    command.add_option("--layout", input.layout, "layout in memory and in binary shards [auto]")
        ->type_name("auto|dense|sparse")
        ->check(CLI::IsMember({"auto", "dense", "sparse"}));
  }

  static void AddFormat(CLI::App& command, std::string& format, const char* help) {
    command.add_option("--format", format, help)
        ->type_name("npz|libsvm")
        ->check(CLI::IsMember({"npz", "libsvm"}));
  }

  void AddData() {
    data_app_ = app_.add_subcommand("data", "Look at, split, convert or generate data sets");
    data_app_->require_subcommand(1);
    data_app_->footer(
        "Example:\n  lambdaml data describe heart_scale\nMore with `lambdaml data describe "
        "--help`.");

    describe_app_ = data_app_->add_subcommand("describe", "Rows, features, non-zeros, labels");
    AddDataInput(*describe_app_, describe_.data);
    describe_app_->add_flag("--json", describe_.json, "one JSON object instead of text");
    describe_app_->footer("Example:\n  lambdaml data describe higgs.libsvm.zst");

    split_app_ = data_app_->add_subcommand("split", "Write a data set as shards with a manifest");
    AddDataInput(*split_app_, split_.data);
    split_app_->add_option("--parts", split_.parts, "number of shards")
        ->required()
        ->type_name("N")
        ->check(CLI::Range(int64_t{1}, int64_t{100'000}));
    split_app_
        ->add_option("--output", split_.output,
                     "folder for the shards {i}_{N} (images: training_{i}.bin)")
        ->required()
        ->type_name("URL");
    AddFormat(*split_app_, split_.format, "binary shards or text [npz]");
    split_app_->add_option("--test", split_.test, "images for test.bin [the folder's own]")
        ->type_name("PLACE");
    split_app_->add_flag("--shuffle", split_.shuffle, "permute the rows first");
    split_app_->add_option("--seed", split_.seed, "of the permutation [0]")->type_name("N");
    split_app_->footer(
        "Example:\n  lambdaml data split higgs.libsvm --parts 10 --shuffle --output higgs_10");

    convert_app_ = data_app_->add_subcommand("convert", "Write a data set in another format");
    AddDataInput(*convert_app_, convert_.data);
    convert_app_->add_option("--output", convert_.output, "file to write")
        ->required()
        ->type_name("FILE");
    convert_app_
        ->add_option("--labels", convert_.labels, "idx file of the rows' labels, for images")
        ->type_name("FILE");
    AddFormat(*convert_app_, convert_.format, "format [npz if the output's name ends so]");
    convert_app_->footer("Example:\n  lambdaml data convert rcv1.libsvm.gz --output rcv1.npz");

    generate_app_ = data_app_->add_subcommand("generate", "Write an artificial data set");
    generate_app_
        ->add_option("kind", generate_.kind,
                     "higgs (28 features), rcv1 (47,236 sparse ones), blobs, cifar10")
        ->required()
        ->check(CLI::IsMember({"higgs", "rcv1", "blobs", "cifar10"}));
    generate_app_->add_option("--rows", generate_.rows, "number of rows")
        ->required()
        ->type_name("N")
        ->check(CLI::Range(int64_t{1}, int64_t{1'000'000'000'000}));
    generate_app_->add_option("--output", generate_.output, "file to write")
        ->required()
        ->type_name("FILE");
    AddFormat(*generate_app_, generate_.format, "format [npz if the output's name ends so]");
    generate_app_->add_option("--seed", generate_.seed, "of the rows [0]")->type_name("N");
    generate_app_->add_option("--n_features", generate_.n_features, "features of blobs [10]")
        ->type_name("N")
        ->check(CLI::Range(int64_t{1}, int64_t{1'000'000}));
    generate_app_
        ->add_option("--n_classes", generate_.n_classes,
                     "clusters of blobs [3], classes of cifar10 [10]")
        ->type_name("N")
        ->check(CLI::Range(int64_t{2}, int64_t{1000}));
    generate_app_->footer(
        "Example:\n  lambdaml data generate higgs --rows 1000000 --output higgs.npz");
  }

  void AddPs() {
    ps_app_ = app_.add_subcommand("ps", "Run a parameter server, or show what one is doing");
    const auto add = [this](const char* name, auto& value, const char* help, const char* type) {
      return ps_app_->add_option(name, value, help)->type_name(type);
    };
    const auto positive = CLI::Range(1, 1'000'000);
    const auto seconds = CLI::Range(0.0, 1e9);
    add("--host", ps_.host, "address to listen on [127.0.0.1: this machine only]", "HOST");
    add("--port", ps_.port, "port, 0 for any that is free [27000]", "N")
        ->check(CLI::Range(0, 65535));
    add("--interval", ps_.interval_s, "seconds between looks for what is idle [60]", "S")
        ->check(CLI::Range(0.1, 1e9));
    add("--expired", ps_.expired_s, "drop jobs and models idle for so long [6000]", "S")
        ->check(seconds);
    add("--dir", ps_.dir, "folder to go on from after a restart [none]", "FOLDER");
    add("--memory_mb", ps_.memory_mb, "refuse what needs more memory [2048]", "N")->check(positive);
    add("--message_mb", ps_.message_mb, "refuse longer messages [256]", "N")
        ->check(CLI::Range(1, 1024));
    add("--connections_max", ps_.connections_max, "refuse further connections [1000]", "N")
        ->check(positive);
    add("--jobs_max", ps_.jobs_max, "refuse further jobs and models [1000]", "N")->check(positive);
    add("--grace", ps_.grace_s, "how long to let rounds finish when stopped [30]", "S")
        ->check(seconds);
    add("--tls_cert", ps_.tls_cert, "certificate: speak TLS", "FILE");
    add("--tls_key", ps_.tls_key, "its private key", "FILE");
    add("--tls_client_ca", ps_.tls_client_ca, "clients need a certificate of this authority",
        "FILE");
    add("--metrics_port", ps_.metrics_port, "serve http://HOST:N/metrics to Prometheus", "N")
        ->check(CLI::Range(0, 65535));
    add("--status", ps_.status, "show what the server at HOST:PORT is doing", "URL");
    ps_app_->add_flag("--json", ps_.json, "with --status: one JSON object instead of text");
    ps_app_->footer(
        "The environment variable LAMBDAML_PS_TOKEN, if it is set, is a secret that every client\n"
        "must know too. Ctrl-C finishes the rounds under way and stops.\n"
        "Examples:\n"
        "  lambdaml ps --dir /var/lib/lambdaml\n"
        "  lambdaml ps --host 0.0.0.0 --tls_cert server.pem --tls_key server.key\n"
        "  lambdaml ps --status 10.0.0.7:27000\n"
        "  lambdaml train --model lr --data higgs.libsvm --channel ps://127.0.0.1:27000");
  }

  // Of the innermost command that was named, without the empty lines that CLI11 doubles.
  std::string HelpText() const {
    std::string text = app_.help();
    for (size_t at = 0; (at = text.find("\n\n\n")) != text.npos;) text.erase(at, 1);
    return text;
  }

  // CLI11's message, or a better one where a word is left over that no command or option has.
  std::string Explain(const CLI::ParseError& error) {
    const std::vector<std::string> words = Deepest().remaining();
    if (words.empty()) return error.what();
    const std::string& word = words.front();
    std::vector<std::string> names;
    if (word.starts_with('-')) {
      for (const CLI::Option* option : Deepest().get_options()) {
        for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
      }
    } else {
      for (const CLI::App* command : Deepest().get_subcommands(nullptr)) {
        names.push_back(command->get_name());
      }
    }
    const std::vector<std::string_view> known(names.begin(), names.end());
    const std::string_view closest = base::ClosestSpelling(word, known);
    if (closest.empty()) return fmt::format("unexpected argument {}", word);
    return fmt::format("unexpected argument {}; did you mean {}?", word, closest);
  }

  // The innermost command that was named.
  CLI::App& Deepest() {
    CLI::App* app = &app_;
    while (!app->get_subcommands().empty()) app = app->get_subcommands().front();
    return *app;
  }
  std::string DeepestName() {
    std::string name = "lambdaml";
    CLI::App* app = &app_;
    while (!app->get_subcommands().empty()) {
      app = app->get_subcommands().front();
      name += " " + app->get_name();
    }
    return name;
  }

  Command Chosen() {
    if (train_app_->parsed()) return train_;
    if (predict_app_->parsed()) return predict_;
    if (evaluate_app_->parsed()) return evaluate_;
    if (describe_app_->parsed()) return describe_;
    if (split_app_->parsed()) return split_;
    if (convert_app_->parsed()) return convert_;
    if (generate_app_->parsed()) return generate_;
    if (ps_app_->parsed()) return ps_;
    return cloud_.Chosen();
  }

  CLI::App app_;
  std::vector<CLI::Option*> details_;  // of train, hidden unless asked for
  CLI::App* train_app_ = nullptr;
  CLI::App* predict_app_ = nullptr;
  CLI::App* evaluate_app_ = nullptr;
  CLI::App* data_app_ = nullptr;
  CLI::App* describe_app_ = nullptr;
  CLI::App* split_app_ = nullptr;
  CLI::App* convert_app_ = nullptr;
  CLI::App* generate_app_ = nullptr;
  CLI::App* ps_app_ = nullptr;

  TrainArguments train_;
  PredictArguments predict_;
  EvaluateArguments evaluate_;
  DescribeArguments describe_;
  SplitArguments split_;
  ConvertArguments convert_;
  GenerateArguments generate_;
  CloudCommandLine cloud_;
  PsArguments ps_;
};

}  // namespace

Command ParseCommandLine(const std::vector<std::string>& arguments) {
  return Parser().Parse(arguments);
}

}  // namespace lambdaml::cli
