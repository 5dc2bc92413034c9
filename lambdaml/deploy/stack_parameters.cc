#include "lambdaml/deploy/stack_parameters.h"

namespace lambdaml::deploy {
namespace {

constexpr StackParameter kParameters[] = {
    {"bucket", "Bucket", "NAME", "for code, channels and models [a new one]"},
    {"prefix", "Prefix", "PATH", "what functions may write in the bucket [lambdaml]"},
    {"data_bucket", "DataBucket", "NAME", "another bucket that functions may read"},
    {"memory_mb", "MemoryMb", "N", "memory of a function; 1769 MB buy one CPU [1769]"},
    {"timeout", "TimeoutSeconds", "S", "longest run of a function [900]"},
    {"storage_mb", "StorageMb", "N", "size of a function's /tmp [512]"},
    {"architecture", "Architecture", "NAME", "x86_64, or arm64 with a --package of your own"},
    {"log_days", "LogRetentionDays", "N", "how long logs are kept [14]"},
    {"concurrency", "ReservedConcurrency", "N", "executions set aside for the function [0]"},
    {"retries", "RetryAttempts", "N", "of triggers that die, by Lambda itself [2]"},
    {"self_invoke", "SelfInvoke", "true|false", "for train --trigger lambda [false]"},
    {"redis_secret", "RedisSecret", "NAME", "secret with the password of a Redis channel"},
    {"ps_token_secret", "PsTokenSecret", "NAME", "secret with the token of a parameter server"},
    {"table", "TableName", "NAME", "DynamoDB table for channels"},
    {"create_table", "CreateTable", "true|false", "make that table [false]"},
    {"create_url", "CreateUrl", "true|false", "an address for --platform http [false]"},
    {"vpc", "VpcId", "ID", "network of the channel's server"},
    {"subnets", "SubnetIds", "ID,ID", "of the VPC"},
    {"route_tables", "RouteTableIds", "ID,ID", "of the subnets: make an endpoint for S3"},
    {"channel_group", "ChannelSecurityGroupId", "ID", "security group of the channel's server"},
    {"channel_port", "ChannelPort", "N", "its port, opened to the functions [6379]"},
};

}  // namespace

std::span<const StackParameter> StackParameters() { return kParameters; }

}  // namespace lambdaml::deploy
