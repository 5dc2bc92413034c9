// Going on with a job whose run has ended before it was finished.
#pragma once

#include <string>
#include <string_view>

#include "lambdaml/base/clock.h"
#include "lambdaml/train/checkpoints.h"
#include "lambdaml/wire/job.h"

namespace lambdaml::train {

// The job whose checkpoint is the newest in a place, as its trigger was given it, ready for RunJob:
// the trained model will be bit for bit what the undisturbed run would have given. *warning says so
// if the newest checkpoint is damaged and the one before it is taken. Errors: kNotFound if there is
// no checkpoint; kCorrupt; those of the store.
wire::Job ResumedJob(const std::string& place, std::string* warning);

// What an error of an unfinished run ends with: where its state is, and how to go on; "" if none
// has been saved. Errors: those of the store.
std::string HintOfResume(Checkpoints& checkpoints, const std::string& place,
                         const base::Deadline& deadline);

// Whether an option may be given anew to a job that is resumed: those that say where and how it
// runs, not what it computes.
bool MayChange(std::string_view option);

}  // namespace lambdaml::train
