// AWS CloudFormation: stacks, change sets and events; only what deploying one template needs.
//
// Source: AWS CloudFormation API reference, version 2010-05-15. Lists are read to their last page.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/aws/query_client.h"
#include "lambdaml/aws/session.h"
#include "lambdaml/base/clock.h"

namespace lambdaml::aws {

using Texts = std::map<std::string, std::string>;

struct Stack {
  std::string id;
  std::string status;  // "CREATE_COMPLETE", "UPDATE_IN_PROGRESS", …
  std::string status_reason;
  Texts parameters;
  Texts outputs;
};

struct StackEvent {
  std::string id;
  std::string logical_id;  // of the resource in the template; the stack's name for the stack
  std::string type;        // "AWS::Lambda::Function"
  std::string status;      // "CREATE_FAILED"
  std::string reason;
};

struct ResourceChange {
  std::string action;  // "Add", "Modify", "Remove", "Import", "Dynamic"
  std::string logical_id;
  std::string type;
  std::string replacement;  // "True", "False", "Conditional"; empty unless it is modified
};

struct ChangeSet {
  std::string status;  // "CREATE_COMPLETE", "FAILED", …
  std::string status_reason;
  std::vector<ResourceChange> changes;
};

struct ChangeSetRequest {
  std::string stack;  // name
  std::string name;
  bool is_new_stack = false;
  std::string template_body;  // at most 51,200 bytes
  Texts parameters;
  Texts tags;
};

// The session's region. Errors of all calls: as AwsClient::Send. Threads: any, at once.
class CloudFormation {
 public:
  explicit CloudFormation(const Session& session);

  // Nothing if there is no such stack. A deleted one is found by its id only.
  std::optional<Stack> Describe(const std::string& stack, const base::Deadline& deadline);

  // Returns the change set's id. It is made meanwhile: describe it until it is done.
  // Errors: also kResourceExhausted for too long a template.
  std::string CreateChangeSet(const ChangeSetRequest& request, const base::Deadline& deadline);
  ChangeSet DescribeChangeSet(const std::string& id, const base::Deadline& deadline);
  void ExecuteChangeSet(const std::string& id, const base::Deadline& deadline);
  void DeleteChangeSet(const std::string& id, const base::Deadline& deadline);

  // The events after the one given (all, if it is empty or gone), oldest first.
  std::vector<StackEvent> EventsAfter(const std::string& stack_id, std::string_view last_event_id,
                                      const base::Deadline& deadline);

  // A stack that does not exist is no error.
  void DeleteStack(const std::string& stack, const base::Deadline& deadline);

 private:
  QueryClient client_;
};

}  // namespace lambdaml::aws
