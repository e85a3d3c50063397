// Checks GraphQL calls against Shopify's own schema, as npm @shopify/dev-mcp ships it.
//
// Standard input: {"version": "2026-10", "calls": [{"name", "document", "variables"?, "reply"?}]}.
// Standard output: a JSON array of sentences, one for each mistake; empty when all is well.
// A document must be valid and use nothing that is deprecated; variables must coerce; a reply must have exactly the
// selected fields, with values that the schema's types can hold.
import fs from 'node:fs';
import zlib from 'node:zlib';
import path from 'node:path';
import { createRequire } from 'node:module';

const tools = process.argv[2];
const require = createRequire(path.join(tools, 'package.json'));
const {
  buildClientSchema, parse, validate, specifiedRules, NoDeprecatedCustomRule, getOperationAST,
  isNonNullType, isListType, isLeafType, isEnumType, isObjectType, isInputObjectType, isAbstractType, typeFromAST,
} = require('graphql');
const { getVariableValues } = require('graphql/execution/values');

const { version, calls } = JSON.parse(fs.readFileSync(0, 'utf8'));
const file = path.join(tools, `node_modules/@shopify/dev-mcp/dist/data/admin_${version}.json.gz`);
const introspection = JSON.parse(zlib.gunzipSync(fs.readFileSync(file)));
const schema = buildClientSchema(introspection.data ?? introspection);
const mistakes = [];

// graphql-js looks for deprecated input fields in literals only; ours travel in variables.
function deprecatedInput(at, type, value) {
  if (isNonNullType(type)) return deprecatedInput(at, type.ofType, value);
  if (value === null || value === undefined) return;
  if (isListType(type)) {
    for (const item of Array.isArray(value) ? value : [value]) deprecatedInput(at, type.ofType, item);
  } else if (isInputObjectType(type)) {
    for (const [name, inner] of Object.entries(value)) {
      const field = type.getFields()[name];
      if (field?.deprecationReason) mistakes.push(`${at}: input field ${type}.${name} is deprecated: ${field.deprecationReason}`);
      if (field) deprecatedInput(at, field.type, inner);
    }
  }
}

// What a custom scalar's text looks like; graphql-js lets any value of a custom scalar pass.
const forms = {
  DateTime: (value) => /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(value),
  Decimal: (value) => typeof value === 'string' && /^-?\d+(\.\d+)?$/.test(value),
  UnsignedInt64: (value) => typeof value === 'string' && /^\d+$/.test(value),
  ID: (value) => typeof value === 'string' && /^gid:\/\/shopify\/[A-Za-z]+\/\d+/.test(value),
  String: (value) => typeof value === 'string',
  Boolean: (value) => typeof value === 'boolean',
  Int: (value) => Number.isInteger(value),
};

function holds(at, type, selections, value) {
  if (isNonNullType(type)) {
    if (value === null || value === undefined) return mistakes.push(`${at}: null where the schema says ${type}`);
    return holds(at, type.ofType, selections, value);
  }
  if (value === null) return;
  if (isListType(type)) {
    if (!Array.isArray(value)) return mistakes.push(`${at}: not a list`);
    return value.forEach((item, place) => holds(`${at}[${place}]`, type.ofType, selections, item));
  }
  if (isLeafType(type)) {
    const fits = isEnumType(type) ? type.getValue(value) !== undefined : forms[type.name]?.(value);
    if (fits === undefined) return mistakes.push(`${at}: validate.mjs knows no form for scalar ${type}; add one`);
    if (!fits) mistakes.push(`${at}: ${JSON.stringify(value)} is no ${type}`);
    return;
  }
  if (isAbstractType(type)) return mistakes.push(`${at}: validate.mjs does not know abstract types`);
  if (typeof value !== 'object' || Array.isArray(value)) return mistakes.push(`${at}: not an object`);
  const wanted = new Map(selections.map((it) => [(it.alias ?? it.name).value, it]));
  for (const name of Object.keys(value)) if (!wanted.has(name)) mistakes.push(`${at}/${name}: answered, but not asked for`);
  for (const [name, field] of wanted) {
    if (!(name in value)) { mistakes.push(`${at}/${name}: asked for, but not answered`); continue; }
    holds(`${at}/${name}`, type.getFields()[field.name.value].type, field.selectionSet?.selections ?? [], value[name]);
  }
}

for (const { name, document, variables, reply } of calls) {
  let ast;
  try { ast = parse(document); } catch (error) { mistakes.push(`${name}: ${error.message}`); continue; }
  const wrong = validate(schema, ast, [...specifiedRules, NoDeprecatedCustomRule]);
  for (const error of wrong) {
    const { line, column } = error.locations?.[0] ?? {};
    mistakes.push(`${name}: ${line}:${column}: ${error.message}`);
  }
  if (wrong.length) continue;
  const operation = getOperationAST(ast);
  if (variables !== undefined && variables !== null) {
    const coerced = getVariableValues(schema, operation.variableDefinitions ?? [], variables);
    for (const error of coerced.errors ?? []) mistakes.push(`${name}: variables: ${error.message}`);
    const known = new Set((operation.variableDefinitions ?? []).map((it) => it.variable.name.value));
    for (const key of Object.keys(variables)) if (!known.has(key)) mistakes.push(`${name}: variables: $${key} is not declared`);
    for (const definition of operation.variableDefinitions ?? []) {
      const type = typeFromAST(schema, definition.type);
      deprecatedInput(`${name}: variables`, type, variables[definition.variable.name.value]);
    }
  }
  if (reply !== undefined && reply !== null) {
    const root = operation.operation === 'mutation' ? schema.getMutationType() : schema.getQueryType();
    if (!isObjectType(root) || reply.data === undefined) { mistakes.push(`${name}: the reply has no data`); continue; }
    holds(`${name}: reply`, root, operation.selectionSet.selections, reply.data);
  }
}

process.stdout.write(JSON.stringify(mistakes));
