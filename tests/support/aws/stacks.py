"""CloudFormation for tests: stacks whose resources only have names.

Templates are read and evaluated (parameters with their constraints, conditions, functions), change
sets are the differences of the evaluated resources, and an operation takes a few looks to get done.
"""

import itertools
import json
import re
import uuid

from cfn_yaml import parse_template
from protocol import ApiError

ACCOUNT = "123456789012"
REGION = "us-east-1"
RESOURCES_PER_LOOK = 4
NO_VALUE = object()


class Evaluation:
    """A template with values for its parameters."""

    def __init__(self, text, given):
        self.template = parse_template(text)
        self.parameters = self._parameters(given)

    def _parameters(self, given):
        declared = self.template["Parameters"]
        unknown = set(given) - set(declared)
        if unknown:
            raise ApiError("ValidationError", f"Parameters: {sorted(unknown)} do not exist in the template")
        values = {}
        for name, rule in declared.items():
            value = str(given.get(name, rule.get("Default")))
            pattern = rule.get("AllowedPattern")
            if pattern and not re.fullmatch(pattern, value):
                raise ApiError("ValidationError", f"Parameter {name} failed to satisfy constraint: "
                                                  f"must match pattern {pattern}")
            if "AllowedValues" in rule and value not in map(str, rule["AllowedValues"]):
                raise ApiError("ValidationError", f"Parameter '{name}' must be one of AllowedValues")
            if rule["Type"] == "Number":
                if not value.lstrip("-").isdigit():
                    raise ApiError("ValidationError", f"Parameter '{name}' must be a number")
                if not rule.get("MinValue", 0) <= int(value) <= rule.get("MaxValue", int(value)):
                    raise ApiError("ValidationError", f"Parameter '{name}' is out of range")
            values[name] = value
        return values

    def condition(self, name):
        return self.value(self.template["Conditions"][name])

    def reference(self, name):
        if name in self.parameters:
            is_list = self.template["Parameters"][name]["Type"] == "CommaDelimitedList"
            return self.parameters[name].split(",") if is_list else self.parameters[name]
        pseudo = {"AWS::Region": REGION, "AWS::AccountId": ACCOUNT, "AWS::Partition": "aws",
                  "AWS::NoValue": NO_VALUE}
        if name in pseudo:
            return pseudo[name]
        properties = self.template["Resources"][name].get("Properties", {})
        for key in ("FunctionName", "LogGroupName"):
            if key in properties:
                return self.value(properties[key])
        return f"stack-{name.lower()}"

    def attribute(self, name, attribute):
        return f"arn:aws:fake:{REGION}:{ACCOUNT}:{self.reference(name)}:{attribute}"

    def substitute(self, argument):
        text, local = argument if isinstance(argument, list) else (argument, {})
        local = {name: self.value(value) for name, value in local.items()}

        def replace(match):
            name = match.group(1)
            if name in local:
                return local[name]
            return self.attribute(*name.split(".")) if "." in name else self.reference(name)

        return re.sub(r"\$\{([^}]+)\}", replace, text)

    def value(self, value):
        """The value with all functions evaluated."""
        if isinstance(value, list):
            values = [self.value(member) for member in value]
            return [member for member in values if member is not NO_VALUE]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            (name, argument), = value.items()
            if name == "Ref":
                return self.reference(argument)
            if name == "Condition":
                return self.condition(argument)
            if name == "Fn::GetAtt":
                return self.attribute(*(argument if isinstance(argument, list) else argument.split(".")))
            if name == "Fn::Sub":
                return self.substitute(argument)
            if name == "Fn::If":
                return self.value(argument[1 if self.condition(argument[0]) else 2])
            if name == "Fn::Equals":
                left, right = map(self.value, argument)
                return str(left) == str(right)
            if name == "Fn::Not":
                return not self.value(argument[0])
            if name == "Fn::And":
                return all(self.value(member) for member in argument)
            if name == "Fn::Join":
                return argument[0].join(self.value(argument[1]))
        values = {key: self.value(member) for key, member in value.items()}
        return {key: member for key, member in values.items() if member is not NO_VALUE}

    def resources(self):
        return {name: (resource["Type"], self.value(resource.get("Properties", {})))
                for name, resource in self.template["Resources"].items()
                if "Condition" not in resource or self.condition(resource["Condition"])}

    def outputs(self):
        return {name: self.value(output["Value"])
                for name, output in self.template["Outputs"].items()
                if "Condition" not in output or self.condition(output["Condition"])}


class Stack:
    def __init__(self, name):
        self.name = name
        self.id = f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/{name}/{uuid.uuid4()}"
        self.status = "REVIEW_IN_PROGRESS"
        self.evaluation = None
        self.resources = {}
        self.events = []  # newest first
        self.work = []    # (resource, type, final status)
        self.then = None  # called when the work is done

    def event(self, logical_id, kind, status, reason=None):
        self.events.insert(0, {
            "StackId": self.id, "EventId": str(uuid.uuid4()), "StackName": self.name,
            "LogicalResourceId": logical_id, "ResourceType": kind,
            "Timestamp": "2026-05-01T12:00:00Z", "ResourceStatus": status,
            "ResourceStatusReason": reason})

    def turn(self, status, reason=None):
        self.status = status
        self.event(self.name, "AWS::CloudFormation::Stack", status, reason)

    def describe(self):
        parameters = self.evaluation.parameters if self.evaluation else {}
        outputs = self.evaluation.outputs() if self.evaluation and self.resources else {}
        return {"StackId": self.id, "StackName": self.name, "StackStatus": self.status,
                "CreationTime": "2026-05-01T12:00:00Z",
                "Parameters": [{"ParameterKey": k, "ParameterValue": v} for k, v in parameters.items()],
                "Outputs": [{"OutputKey": k, "OutputValue": v} for k, v in outputs.items()]}


class CloudFormation:
    """The operations, by name. failing: resource to the reason why it cannot be made."""

    def __init__(self, failing, bucket, secrets):
        self.stacks = []  # deleted ones, too
        self.change_sets = {}
        self.failing = failing
        self.bucket = bucket  # that stands for one made by a stack
        self.secrets = secrets

    def find(self, name):
        for stack in self.stacks:
            if stack.id == name or (stack.name == name and stack.status != "DELETE_COMPLETE"):
                return stack
        raise ApiError("ValidationError", f"Stack with id {name} does not exist")

    def function(self, name):
        """The properties of a function that a stack has made; None if there is none."""
        for stack in self.stacks:
            for kind, properties in stack.resources.values():
                if kind == "AWS::Lambda::Function" and properties["FunctionName"] == name:
                    return self._with_secrets(properties)
        return None

    def _with_secrets(self, value):
        """The value with its dynamic references to secrets resolved, as resources get it."""
        if isinstance(value, dict):
            return {key: self._with_secrets(member) for key, member in value.items()}
        if isinstance(value, list):
            return [self._with_secrets(member) for member in value]
        if not isinstance(value, str):
            return value
        return re.sub(r"\{\{resolve:secretsmanager:([^}]+)\}\}",
                      lambda match: self.secrets[match.group(1)], value)

    def _look(self, stack):
        for logical_id, kind, status in stack.work[:RESOURCES_PER_LOOK]:
            if logical_id in self.failing and status.startswith(("CREATE", "UPDATE")):
                stack.event(logical_id, kind, status.split("_")[0] + "_FAILED", self.failing[logical_id])
                stack.then = stack.work = None
                verb = status.split("_")[0]
                stack.turn("ROLLBACK_COMPLETE" if verb == "CREATE" else "UPDATE_ROLLBACK_COMPLETE")
                return
            stack.event(logical_id, kind, status)
        stack.work = stack.work[RESOURCES_PER_LOOK:]
        if not stack.work and stack.then:
            then, stack.then = stack.then, None
            then()

    def DescribeStacks(self, StackName):
        stack = self.find(StackName)
        if stack.work or stack.then:
            self._look(stack)
        return {"Stacks": [stack.describe()]}

    def DescribeStackEvents(self, StackName, NextToken="0"):
        events = self.find(StackName).events
        begin = int(NextToken)
        page = {"StackEvents": events[begin:begin + 3]}
        if begin + 3 < len(events):
            page["NextToken"] = str(begin + 3)
        return page

    def CreateChangeSet(self, StackName, ChangeSetName, ChangeSetType, TemplateBody, Parameters=(),
                        Capabilities=(), Tags=()):
        if "CAPABILITY_IAM" not in Capabilities:
            raise ApiError("InsufficientCapabilitiesException", "Requires capabilities : [CAPABILITY_IAM]")
        evaluation = Evaluation(TemplateBody,
                                {p["ParameterKey"]: p["ParameterValue"] for p in Parameters})
        if ChangeSetType == "CREATE":
            try:
                stack = self.find(StackName)
                if stack.status != "REVIEW_IN_PROGRESS":
                    raise ApiError("AlreadyExistsException", f"Stack [{StackName}] already exists")
            except ApiError as error:
                if error.code != "ValidationError":
                    raise
                stack = Stack(StackName)
                self.stacks.append(stack)
        else:
            stack = self.find(StackName)
        old, new = stack.resources, evaluation.resources()
        changes = [("Remove", name, old[name][0]) for name in old if name not in new]
        changes += [("Add", name, new[name][0]) for name in new if name not in old]
        changes += [("Modify", name, new[name][0]) for name in new
                    if name in old and json.dumps(old[name]) != json.dumps(new[name])]
        change_set_id = f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:changeSet/{ChangeSetName}/{uuid.uuid4()}"
        self.change_sets[change_set_id] = {"stack": stack, "evaluation": evaluation, "looks": 0,
                                           "changes": changes, "type": ChangeSetType}
        return {"Id": change_set_id, "StackId": stack.id}

    def _change_set(self, name):
        if name not in self.change_sets:
            raise ApiError("ChangeSetNotFound", f"ChangeSet [{name}] does not exist", 404)
        return self.change_sets[name]

    def DescribeChangeSet(self, ChangeSetName, NextToken="0"):
        change_set = self._change_set(ChangeSetName)
        change_set["looks"] += 1
        if change_set["looks"] == 1:
            return {"Status": "CREATE_IN_PROGRESS"}
        if not change_set["changes"]:
            return {"Status": "FAILED", "StatusReason":
                    "The submitted information didn't contain changes. Submit different "
                    "information to create a change set."}
        begin = int(NextToken)
        page = {"Status": "CREATE_COMPLETE", "Changes": [
            {"Type": "Resource", "ResourceChange": {
                "Action": action, "LogicalResourceId": name, "ResourceType": kind,
                "Replacement": "False" if action == "Modify" else None}}
            for action, name, kind in change_set["changes"][begin:begin + 3]]}
        if begin + 3 < len(change_set["changes"]):
            page["NextToken"] = str(begin + 3)
        return page

    def ExecuteChangeSet(self, ChangeSetName):
        change_set = self.change_sets.pop(ChangeSetName, None) or self._change_set(ChangeSetName)
        stack, evaluation = change_set["stack"], change_set["evaluation"]
        verb = change_set["type"]
        ends = {"Add": "CREATE_COMPLETE", "Modify": "UPDATE_COMPLETE", "Remove": "DELETE_COMPLETE"}

        def finish():
            stack.resources = evaluation.resources()
            stack.turn(f"{verb}_COMPLETE")

        stack.evaluation = evaluation
        stack.turn(f"{verb}_IN_PROGRESS", "User Initiated")
        stack.work = [(name, kind, ends[action]) for action, name, kind in change_set["changes"]]
        stack.then = finish
        # A bucket that the stack makes is one that the tests' S3 server has.
        evaluation.reference = (lambda name, ask=evaluation.reference:
                                self.bucket if name == "OwnBucket" else ask(name))
        return {}

    def DeleteChangeSet(self, ChangeSetName):
        self._change_set(ChangeSetName)
        del self.change_sets[ChangeSetName]
        return {}

    def DeleteStack(self, StackName):
        try:
            stack = self.find(StackName)
        except ApiError:
            return None
        if stack.status == "REVIEW_IN_PROGRESS":
            stack.status = "DELETE_COMPLETE"
            return None
        stack.turn("DELETE_IN_PROGRESS", "User Initiated")
        stack.work = [(name, kind, "DELETE_COMPLETE") for name, (kind, _) in stack.resources.items()]
        failed = [name for name, _, _ in stack.work if f"delete {name}" in self.failing]

        def finish():
            if failed:
                stack.event(failed[0], stack.resources[failed[0]][0], "DELETE_FAILED",
                            self.failing[f"delete {failed[0]}"])
                return stack.turn("DELETE_FAILED")
            stack.resources = {}
            return stack.turn("DELETE_COMPLETE")

        stack.then = finish
        return None
