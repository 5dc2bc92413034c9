#include "lambdaml/aws/cloud_formation.h"

#include <algorithm>
#include <fmt/format.h>
#include <utility>

#include "lambdaml/base/error.h"
#include "lambdaml/base/units.h"

namespace lambdaml::aws {
namespace {

constexpr size_t kTemplateBytesMax = 51'200;
// CloudFormation's word for most refusals, "there is no such stack" among them.
constexpr const char* kValidationError = "ValidationError";
constexpr const char* kChangeSetNotFound = "ChangeSetNotFound";

using Parameters = std::vector<net::QueryParameter>;

// "Name.member.1.KeyName", "Name.member.1.ValueName", …
void AppendMap(Parameters& parameters, std::string_view list, std::string_view key_name,
               std::string_view value_name, const Texts& texts) {
  int number = 0;
  for (const auto& [key, value] : texts) {
    ++number;
    parameters.push_back({fmt::format("{}.member.{}.{}", list, number, key_name), key});
    parameters.push_back({fmt::format("{}.member.{}.{}", list, number, value_name), value});
  }
}

Texts MapOf(const XmlElement& element, std::string_view list, std::string_view key_name,
            std::string_view value_name) {
  Texts texts;
  for (const XmlElement* member : element.Members(list)) {
    texts[std::string(member->Text(key_name))] = member->Text(value_name);
  }
  return texts;
}

StackEvent EventOf(const XmlElement& member) {
  return {.id = std::string(member.Text("EventId")),
          .logical_id = std::string(member.Text("LogicalResourceId")),
          .type = std::string(member.Text("ResourceType")),
          .status = std::string(member.Text("ResourceStatus")),
          .reason = std::string(member.Text("ResourceStatusReason"))};
}

}  // namespace

CloudFormation::CloudFormation(const Session& session)
    : client_(session, "cloudformation", "2010-05-15") {}

std::optional<Stack> CloudFormation::Describe(const std::string& stack,
                                              const base::Deadline& deadline) {
  const std::string operation = fmt::format("look at the stack {}", stack);
  const QueryAnswer answer = client_.Call({.action = "DescribeStacks",
                                           .operation = operation,
                                           .parameters = {{"StackName", stack}},
                                           .expected_errors = {kValidationError}},
                                          deadline);
  if (!answer.error_code.empty()) {
    if (answer.error_message.find("does not exist") != std::string::npos) return std::nullopt;
    throw base::Error(base::ErrorCode::kInvalidArgument,
                      fmt::format("{}: {}", operation, answer.error_message));
  }
  const std::vector<const XmlElement*> stacks = answer.result.Members("Stacks");
  if (stacks.empty()) return std::nullopt;
  const XmlElement& found = *stacks.front();
  return Stack{.id = std::string(found.Text("StackId")),
               .status = std::string(found.Text("StackStatus")),
               .status_reason = std::string(found.Text("StackStatusReason")),
               .parameters = MapOf(found, "Parameters", "ParameterKey", "ParameterValue"),
               .outputs = MapOf(found, "Outputs", "OutputKey", "OutputValue")};
}

std::string CloudFormation::CreateChangeSet(const ChangeSetRequest& request,
                                            const base::Deadline& deadline) {
  const std::string operation = fmt::format("prepare the stack {}", request.stack);
  if (request.template_body.size() > kTemplateBytesMax) {
    throw base::Error(base::ErrorCode::kResourceExhausted,
                      fmt::format("{}: the template has {}, CloudFormation takes {}", operation,
                                  base::FormatBytes(request.template_body.size()),
                                  base::FormatBytes(kTemplateBytesMax)));
  }
  // The role's name is CloudFormation's own choice, so this capability is enough.
  Parameters parameters = {{"StackName", request.stack},
                           {"ChangeSetName", request.name},
                           {"ChangeSetType", request.is_new_stack ? "CREATE" : "UPDATE"},
                           {"Capabilities.member.1", "CAPABILITY_IAM"},
                           {"TemplateBody", request.template_body}};
  AppendMap(parameters, "Parameters", "ParameterKey", "ParameterValue", request.parameters);
  AppendMap(parameters, "Tags", "Key", "Value", request.tags);
  const QueryAnswer answer = client_.Call(
      {.action = "CreateChangeSet", .operation = operation, .parameters = std::move(parameters)},
      deadline);
  return std::string(answer.result.Text("Id"));
}

ChangeSet CloudFormation::DescribeChangeSet(const std::string& id, const base::Deadline& deadline) {
  ChangeSet change_set;
  std::string next_token;
  do {
    Parameters parameters = {{"ChangeSetName", id}};
    if (!next_token.empty()) parameters.push_back({"NextToken", next_token});
    const QueryAnswer answer = client_.Call({.action = "DescribeChangeSet",
                                             .operation = "look at the change set",
                                             .parameters = std::move(parameters)},
                                            deadline);
    change_set.status = answer.result.Text("Status");
    change_set.status_reason = answer.result.Text("StatusReason");
    for (const XmlElement* member : answer.result.Members("Changes")) {
      const XmlElement* change = member->Find("ResourceChange");
      if (change == nullptr) continue;  // of a kind that templates without hooks do not have
      change_set.changes.push_back({.action = std::string(change->Text("Action")),
                                    .logical_id = std::string(change->Text("LogicalResourceId")),
                                    .type = std::string(change->Text("ResourceType")),
                                    .replacement = std::string(change->Text("Replacement"))});
    }
    next_token = answer.result.Text("NextToken");
  } while (!next_token.empty());
  return change_set;
}

void CloudFormation::ExecuteChangeSet(const std::string& id, const base::Deadline& deadline) {
  client_.Call({.action = "ExecuteChangeSet",
                .operation = "execute the change set",
                .parameters = {{"ChangeSetName", id}}},
               deadline);
}

void CloudFormation::DeleteChangeSet(const std::string& id, const base::Deadline& deadline) {
  client_.Call({.action = "DeleteChangeSet",
                .operation = "delete the change set",
                .parameters = {{"ChangeSetName", id}},
                .expected_errors = {kChangeSetNotFound}},
               deadline);
}

std::vector<StackEvent> CloudFormation::EventsAfter(const std::string& stack_id,
                                                    std::string_view last_event_id,
                                                    const base::Deadline& deadline) {
  std::vector<StackEvent> events;  // newest first, as the service gives them
  std::string next_token;
  do {
    Parameters parameters = {{"StackName", stack_id}};
    if (!next_token.empty()) parameters.push_back({"NextToken", next_token});
    const QueryAnswer answer = client_.Call({.action = "DescribeStackEvents",
                                             .operation = "follow the stack's events",
                                             .parameters = std::move(parameters)},
                                            deadline);
    next_token = answer.result.Text("NextToken");
    for (const XmlElement* member : answer.result.Members("StackEvents")) {
      StackEvent event = EventOf(*member);
      if (event.id == last_event_id) {
        next_token.clear();
        break;
      }
      events.push_back(std::move(event));
    }
  } while (!next_token.empty());
  std::ranges::reverse(events);
  return events;
}

void CloudFormation::DeleteStack(const std::string& stack, const base::Deadline& deadline) {
  client_.Call({.action = "DeleteStack",
                .operation = fmt::format("delete the stack {}", stack),
                .parameters = {{"StackName", stack}}},
               deadline);
}

}  // namespace lambdaml::aws
