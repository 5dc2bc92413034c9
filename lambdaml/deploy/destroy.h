// Takes everything out of an AWS account that Deploy and the jobs have brought.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "lambdaml/aws/session.h"
#include "lambdaml/base/clock.h"
#include "lambdaml/deploy/stack_follower.h"

namespace lambdaml::deploy {

struct Doomed {
  std::string stack_id;
  std::string status;
  std::string objects_url;  // what is deleted of the bucket: all of the stack's own, else a prefix
  uint64_t object_count = 0;
  bool owns_bucket = false;
};

// What Destroy would delete; nothing if there is no such stack.
// Errors: kAlreadyExists while somebody else changes it; those of the services.
std::optional<Doomed> FindDoomed(const aws::Session& session, const std::string& stack,
                                 const base::Deadline& deadline);

// Deletes the objects, then the stack with everything in it, and follows it to the end.
// Errors: kUnavailable with CloudFormation's reason when something cannot be deleted; kCancelled.
void Destroy(const aws::Session& session, const Doomed& doomed, const Console& console,
             const base::Deadline& deadline);

}  // namespace lambdaml::deploy
