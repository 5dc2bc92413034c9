// Checks a Dockerfile with dockerfile-utils, the linter of several editors.
//
// Usage: node check_dockerfile.js DOCKERFILE
//
// Prints a line for each error or warning; exit code 1 if there is any.
'use strict';

const fs = require('fs');
const {validate} = require('dockerfile-utils');

const findings = validate(fs.readFileSync(process.argv[2], 'utf8'));
for (const {range, message} of findings) console.log(`${range.start.line + 1}: ${message}`);
process.exit(findings.length > 0 ? 1 : 0);
