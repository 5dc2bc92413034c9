// Checks a CloudFormation template against the schema of resources that AWS publishes (the package
// @aws-cdk/aws-service-spec, from which its CDK is made).
//
// Usage: node check_template.js TEMPLATE.json
//
// For every resource: its type exists; its properties exist, have the right type, are among the
// values allowed, and none that is required is missing; attributes asked for with Fn::GetAtt exist.
// Every name that Ref, Fn::GetAtt, Fn::Sub, Fn::If and Condition give is one of the template's, and
// every parameter and condition is used. Prints what is wrong, a line each; exit code 1 if anything
// is.
'use strict';

const fs = require('fs');
const {loadAwsServiceSpecSync} = require('@aws-cdk/aws-service-spec');

const db = loadAwsServiceSpecSync();
const template = JSON.parse(fs.readFileSync(process.argv[2], 'utf8'));
const findings = [];
const used = {parameters: new Set(), conditions: new Set()};

const report = (path, what) => findings.push(`${path.join('.')}: ${what}`);

const schemaOf = (type) => db.lookup('resource', 'cloudFormationType', 'equals', type)[0];

function checkRef(path, name) {
  if (name.startsWith('AWS::') || name in template.Resources) return;
  if (!(name in template.Parameters)) return report(path, `nothing is named ${name}`);
  used.parameters.add(name);
}

function checkCondition(path, name) {
  if (!(name in template.Conditions)) report(path, `there is no condition ${name}`);
  used.conditions.add(name);
}

function checkAttribute(path, name, attribute) {
  const resource = template.Resources[name];
  if (!resource) return report(path, `there is no resource ${name}`);
  const schema = schemaOf(resource.Type);
  if (schema && !(attribute in schema.attributes)) {
    report(path, `${resource.Type} has no attribute ${attribute}`);
  }
}

function checkSubstitution(path, text, local) {
  for (const [, name] of text.matchAll(/\$\{([^!}][^}]*)\}/g)) {
    if (name in local) continue;
    const dot = name.indexOf('.');
    if (dot < 0) checkRef(path, name);
    else checkAttribute(path, name.slice(0, dot), name.slice(dot + 1));
  }
}

// The functions of a value, wherever they stand.
function checkFunctions(path, value) {
  if (Array.isArray(value)) return value.forEach((v, i) => checkFunctions([...path, i], v));
  if (value === null || typeof value !== 'object') return;
  for (const [key, argument] of Object.entries(value)) {
    const here = [...path, key];
    if (key === 'Ref') checkRef(here, argument);
    if (key === 'Condition' && typeof argument === 'string') checkCondition(here, argument);
    if (key === 'Fn::GetAtt') {
      const [name, ...attribute] = Array.isArray(argument) ? argument : argument.split('.');
      checkAttribute(here, name, attribute.join('.'));
    }
    if (key === 'Fn::Sub') {
      const [text, local] = Array.isArray(argument) ? argument : [argument, {}];
      checkSubstitution(here, text, local);
    }
    if (key === 'Fn::If') checkCondition(here, argument[0]);
    checkFunctions(here, argument);
  }
}

// The values that a value may have once its functions are evaluated; undefined where only
// CloudFormation knows.
function possibleValues(value) {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return [value];
  const [key] = Object.keys(value);
  if (key === 'Fn::If') return value[key].slice(1).flatMap(possibleValues);
  if (key === 'Ref' && value.Ref === 'AWS::NoValue') return [];
  if (key === 'Ref' && value.Ref in template.Parameters) {
    const {AllowedValues, Type} = template.Parameters[value.Ref];
    if (AllowedValues) return AllowedValues;
    return [Type === 'Number' ? 1 : Type === 'CommaDelimitedList' ? ['text'] : undefined];
  }
  return key === 'Ref' || (key && key.startsWith('Fn::')) ? [undefined] : [value];
}

const matchers = {
  string: (type, v) => typeof v === 'string' && (!type.allowedValues || type.allowedValues.includes(v)),
  integer: (type, v) => Number.isInteger(Number(v)),
  number: (type, v) => Number.isFinite(Number(v)),
  boolean: (type, v) => typeof v === 'boolean' || v === 'true' || v === 'false',
  json: () => true,
  'date-time': (type, v) => typeof v === 'string',
};

function checkType(path, type, value) {
  for (const possible of possibleValues(value)) {
    if (possible === undefined) continue;
    if (type.type === 'array') {
      if (!Array.isArray(possible)) report(path, 'must be a list');
      else possible.forEach((v, i) => checkType([...path, i], type.element, v));
    } else if (type.type === 'map') {
      Object.entries(possible).forEach(([k, v]) => checkType([...path, k], type.element, v));
    } else if (type.type === 'ref') {
      checkProperties(path, db.get('typeDefinition', type.reference).properties, possible);
    } else if (type.type === 'union') {
      const before = findings.length;
      const fits = type.types.some((one) => {
        findings.length = before;
        checkType(path, one, possible);
        return findings.length === before;
      });
      if (fits) findings.length = before;
    } else if (type.type in matchers && !matchers[type.type](type, possible)) {
      report(path, `${JSON.stringify(possible)} is not ${JSON.stringify(type)}`);
    }
  }
}

function checkProperties(path, schema, properties) {
  for (const [name, value] of Object.entries(properties)) {
    if (!(name in schema)) report([...path, name], 'no such property');
    else checkType([...path, name], schema[name].type, value);
  }
  for (const [name, property] of Object.entries(schema)) {
    if (property.required && !(name in properties)) report(path, `lacks ${name}`);
  }
}

for (const [name, resource] of Object.entries(template.Resources)) {
  const schema = schemaOf(resource.Type);
  if (!schema) report([name], `there is no type ${resource.Type}`);
  else checkProperties([name], schema.properties, resource.Properties);
}
checkFunctions([], {Resources: template.Resources, Outputs: template.Outputs});
checkFunctions(['Conditions'], template.Conditions);
for (const name of Object.keys(template.Parameters)) {
  if (!used.parameters.has(name)) report([name], 'the parameter is not used');
}
for (const name of Object.keys(template.Conditions)) {
  if (!used.conditions.has(name)) report([name], 'the condition is not used');
}
findings.forEach((finding) => console.log(finding));
process.exit(findings.length > 0 ? 1 : 0);
