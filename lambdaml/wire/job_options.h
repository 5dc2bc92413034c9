// The table of a job's keys: one row a key, from which the command line, TOML job files, JSON
// payloads and the help texts all follow. Adding an option is one member of Job and one row here.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/base/json.h"
#include "lambdaml/wire/job.h"

namespace lambdaml::wire {

// kDetails: of functions and services, seldom needed; --help-all shows them.
enum class OptionGroup { kData, kModel, kAlgorithm, kFunctions, kDetails, kLambdaml, kInternal };

struct JobOption {
  std::string_view name;   // --name, TOML key and payload key
  std::string_view alias;  // another accepted spelling, or ""
  OptionGroup group;
  std::string_view placeholder;  // in the help: "N", "URL", "X"; choices are listed instead
  std::string_view help;         // one line, with the default if it has one
  std::vector<std::string_view> choices;  // of an enumeration, else empty
};

// All options, in the order of the help.
std::span<const JobOption> JobOptions();

// The name of the option that a key or its alias sets. Errors: kInvalidArgument: unknown key (with
// the closest known one).
std::string_view OptionNameOf(std::string_view key, std::string_view origin);

// Sets one key from its text form ("0.1", "grad_avg", "true"). `origin` starts error messages, e.g.
// "--lr" or "job.toml:7: lr". Errors: kInvalidArgument: unknown key (with the closest known one),
// text that is not of the key's type, value out of range (with the range).
void SetOptionFromText(Job& job, std::string_view name, std::string_view text,
                       std::string_view origin);

// The same from a JSON value of the matching type (numbers may also be given as text, as LambdaML's
// triggers do).
void SetOptionFromJson(Job& job, std::string_view name, const base::Json& value,
                       std::string_view origin);

// The name of an enumeration's value, as in the options: "grad_avg".
std::string_view NameOf(ModelKind value);
std::string_view NameOf(DatasetType value);
std::string_view NameOf(Optim value);
std::string_view NameOf(SyncMode value);
std::string_view NameOf(Regularizer value);
std::string_view NameOf(LrSchedule value);
std::string_view NameOf(LocalSolver value);
std::string_view NameOf(KmeansInit value);
std::string_view NameOf(KeptEpoch value);
std::string_view NameOf(PlatformKind value);
std::string_view NameOf(Precision value);

}  // namespace lambdaml::wire
