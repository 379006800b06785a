import t from 'tap'
import { Compile } from 'typebox/compile'
import { declaredIn, exampleOf } from '../src/compat/index.ts'
import * as contracts from '../src/index.ts'
import { openApiOf } from '../src/openapi/index.ts'

type Node = Record<string, unknown>

const routes = Object.assign(
  {},
  ...Object.entries(contracts)
    .filter(([name]) => name.endsWith('Routes'))
    .map(([, value]) => value)
) as Record<string, contracts.RouteContract>
const events = [...declaredIn(contracts).events.values()]

/** Every schema that a contract declares, by where it stands. */
const schemas: [string, unknown][] = [
  ...Object.entries(routes).flatMap(([name, { params, query, body, response }]): [string, unknown][] => [
    [`${name} params`, params],
    [`${name} query`, query],
    [`${name} body`, body],
    ...Object.entries(response).map(([status, schema]): [string, unknown] => [`${name} ${status}`, schema])
  ]),
  ...events.map((event): [string, unknown] => [event.subject, event.data]),
  ['Problem', contracts.ProblemSchema],
  ['LiveMessage', contracts.LiveMessageSchema]
]
const declared = schemas.filter(([, schema]) => schema !== undefined && schema !== null)

/** Calls `see` with every schema inside one. What has an example as a whole needs none in its parts. */
function walk(schema: unknown, path: string, see: (node: Node, path: string, covered: boolean) => void, under = false) {
  const node = JSON.parse(JSON.stringify(schema)) as Node
  const covered = under || Array.isArray(node.examples)
  see(node, path, covered)
  const next = (child: unknown, name: string, more = false) =>
    child !== null && typeof child === 'object' && walk(child, `${path}${name}`, see, covered || more)
  for (const [name, child] of Object.entries((node.properties ?? {}) as Node)) next(child, `.${name}`)
  next(node.items, '[]')
  // Names and values of a map are its reader's own.
  for (const child of Object.values((node.patternProperties ?? {}) as Node)) next(child, '{}', true)
  for (const word of ['anyOf', 'allOf', 'oneOf']) for (const child of (node[word] ?? []) as unknown[]) next(child, '')
}

const isTitle = (text: string) => /^[A-Z][^\n]{1,39}$/.test(text) && !text.endsWith('.') && text.split(' ').length <= 5
const isProse = (text: string | undefined) => text !== undefined && /^[A-Z].*[.]$/s.test(text)

t.test('every route and event has a short title, and a description in sentences', async (t) => {
  t.ok(Object.keys(routes).length > 50 && events.length > 25)
  for (const [name, { summary, description }] of Object.entries(routes)) {
    t.ok(isTitle(summary), `${name}: ${summary}`)
    t.ok(isProse(description), `${name}: ${description}`)
  }
  for (const { subject, summary, description } of events) {
    t.ok(isTitle(summary), `${subject}: ${summary}`)
    t.ok(isProse(description), `${subject}: ${description}`)
  }
  for (const bad of ['Publish a post.', 'publish', `A${'a'.repeat(40)}`, 'One two three four five six'])
    t.notOk(isTitle(bad), bad)
})

t.test('every example fits the schema that it stands in, and every text has one', async (t) => {
  let seen = 0
  for (const [where, schema] of declared)
    walk(schema, where, (node, path, covered) => {
      for (const example of (node.examples ?? []) as unknown[]) {
        seen++
        if (!Compile(node).Check(example)) t.fail(`${path}: ${JSON.stringify(example)} does not fit`)
      }
      const told = covered || 'const' in node || 'enum' in node || 'default' in node
      if (node.type === 'string' && !told) t.fail(`${path} has no example`)
    })
  t.ok(seen > 300, `${seen} examples`)
})

t.test('what documents show of each body and event is data, and not the names of members', async (t) => {
  const names = (value: unknown, path: string): string[] =>
    typeof value !== 'object' || value === null
      ? []
      : Object.entries(value).flatMap(([name, member]) =>
          member === name ? [`${path}.${name}`] : names(member, `${path}.${name}`)
        )
  for (const [where, schema] of declared) {
    const example = exampleOf(schema, 'full')
    t.ok(Compile(schema as object).Check(example), where)
    t.same(names(example, where), [], where)
  }
  t.same(names({ username: 'username', a: { b: 'b' } }, 'x'), ['x.username', 'x.a.b'])
  const post = exampleOf(contracts.PostSchema, 'full') as contracts.Post
  const comment = exampleOf(contracts.CommentSchema, 'full') as contracts.Comment
  const profile = exampleOf(contracts.ProfileSchema, 'full') as contracts.Profile
  t.equal(post.author.id, profile.id, 'one person has one id in all examples')
  t.equal(comment.postId, post.id)
  t.not(comment.id, post.id)
})

/** The schemas of a document that stand where data is: parameters, headers, bodies, and components by their names. */
function shownIn(document: object): [string, Node][] {
  const { paths, components } = JSON.parse(JSON.stringify(document)) as {
    paths: Record<string, Record<string, Node>>
    components: Record<'schemas' | 'parameters' | 'headers' | 'responses', Record<string, Node>>
  }
  const found: [string, Node][] = []
  const take = (where: string, holder: unknown) => {
    const { schema } = holder as { schema?: Node }
    if (schema !== undefined) found.push([where, schema])
  }
  const response = (where: string, { content = {}, headers = {} }: { content?: Node; headers?: Node }) => {
    for (const [type, media] of Object.entries(content)) take(`${where} ${type}`, media)
    for (const [name, header] of Object.entries(headers)) take(`${where} ${name}`, header)
  }
  for (const [name, schema] of Object.entries(components.schemas)) found.push([name, schema])
  for (const kind of ['parameters', 'headers'] as const)
    for (const [name, part] of Object.entries(components[kind])) take(name, part)
  for (const [name, part] of Object.entries(components.responses)) response(name, part)
  for (const operation of Object.values(paths).flatMap((item) => Object.values(item))) {
    const {
      operationId,
      parameters = [],
      requestBody,
      responses
    } = operation as {
      operationId: string
      parameters?: { name?: string }[]
      requestBody?: { content: Node }
      responses: Record<string, Node>
    }
    for (const parameter of parameters) take(`${operationId} ${parameter.name}`, parameter)
    response(`${operationId} body`, { content: requestBody?.content ?? {} })
    for (const [status, part] of Object.entries(responses)) response(`${operationId} ${status}`, part)
  }
  return found
}

/** Where a schema has a field without an example, by paths; `$ref` is looked at where it leads. */
function withoutExample(node: Node, path: string): string[] {
  if ('$ref' in node || 'examples' in node || 'const' in node || 'enum' in node || 'default' in node) return []
  const { properties = {}, items, additionalProperties: more, type } = node as { type?: string } & Node
  const parts: [string, unknown][] = [
    ...Object.entries(properties as Node).map(([name, one]): [string, unknown] => [`${path}.${name}`, one]),
    ...(items === undefined ? [] : [[`${path}[]`, items] as [string, unknown]]),
    ...(typeof more === 'object' ? [[`${path}{}`, more] as [string, unknown]] : []),
    ...['anyOf', 'allOf', 'oneOf'].flatMap((word) =>
      ((node[word] ?? []) as unknown[]).map((one): [string, unknown] => [path, one])
    )
  ]
  if (parts.length === 0) return type === 'null' || type === 'object' ? [] : [path]
  return parts.flatMap(([where, part]) => withoutExample(part as Node, where))
}

t.test('every parameter, header, body and field of the OpenAPI document shows an example that fits', async (t) => {
  const document = openApiOf({ title: 'all', version: '1', routes })
  const shown = shownIn(document)
  t.ok(shown.length > 200, `${shown.length} places`)
  t.same(
    shown.flatMap(([where, schema]) => withoutExample(schema, where)),
    []
  )
  for (const [where, schema] of shown)
    for (const example of '$ref' in schema ? [] : ((schema.examples ?? []) as unknown[]))
      if (!Compile(schema).Check(example)) t.fail(`${where}: ${JSON.stringify(example)} does not fit`)
  t.same(withoutExample({ type: 'object', properties: { a: { type: 'boolean' }, b: { items: {} } } }, 'x'), [
    'x.a',
    'x.b[]'
  ])
})

t.test(
  'no description in the OpenAPI document only repeats a name, and no example of a field is its name',
  async (t) => {
    const document = JSON.parse(JSON.stringify(openApiOf({ title: 'all', version: '1', routes }))) as object
    let described = 0
    const look = (value: unknown, path: string, name: string): void => {
      if (typeof value !== 'object' || value === null) return
      const node = value as Node
      const { description, summary, examples } = node
      const isField = !/\.(properties|examples)$/.test(path)
      if (isField && typeof description === 'string') {
        described++
        if (description.trim().length < 3 || description === name || description === node.title)
          t.fail(`${path} is described as ${description}`)
      }
      if (isField && typeof summary === 'string' && !isTitle(summary)) t.fail(`${path}: ${summary}`)
      if (isField && Array.isArray(examples) && examples.includes(name)) t.fail(`${path} shows its own name`)
      for (const [key, member] of Object.entries(node)) if (key !== 'examples') look(member, `${path}.${key}`, key)
    }
    look(document, '', '')
    t.ok(described > 200, `${described} descriptions`)
  }
)

/** What generators of clients stumble over in a document, by where. */
function stumbles(document: object): string[] {
  const { paths, components } = JSON.parse(JSON.stringify(document)) as {
    paths: Record<string, Record<string, Node>>
    components: { schemas: Record<string, Node> }
  }
  const found: string[] = []
  const names = new Map<string, string>()
  const take = (name: string, what: string) => {
    const key = name.replaceAll(/[^a-z0-9]/gi, '').toLowerCase()
    if (names.has(key)) found.push(`${what} is named like ${names.get(key)}`)
    names.set(key, what)
  }
  for (const name of Object.keys(components.schemas)) take(name, `schema ${name}`)
  const bodies = (content: unknown, where: string) => {
    const { schema } = (content as Record<string, { schema?: Node }> | undefined)?.['application/json'] ?? {}
    if (schema !== undefined && !('$ref' in schema)) found.push(`${where} has no title`)
  }
  for (const operation of Object.values(paths).flatMap((item) => Object.values(item))) {
    const { operationId, requestBody, responses } = operation as {
      operationId: string
      requestBody?: { content: unknown }
      responses: Record<string, { content?: unknown }>
    }
    take(`${operationId}Request`, `the parameters of ${operationId}`)
    bodies(requestBody?.content, `the body of ${operationId}`)
    for (const [status, { content }] of Object.entries(responses)) bodies(content, `${operationId} ${status}`)
  }
  const look = (value: unknown, path: string): void => {
    if (typeof value !== 'object' || value === null) return
    const node = value as Node
    if (Array.isArray(node.enum) && node.type === undefined) found.push(`${path} has an enum without a type`)
    if (typeof node.description === 'string' && node.description.startsWith('RFC 3339') && node.format !== 'date-time')
      found.push(`${path} is a time without a format`)
    for (const [name, member] of Object.entries(node)) if (name !== 'examples') look(member, `${path}/${name}`)
  }
  look({ paths, components }, '')
  return found
}

t.test(
  'generators of clients find a name for every body, one meaning for every name, and typed enums and times',
  async (t) => {
    const document = openApiOf({ title: 'all', version: '1', routes })
    t.same(stumbles(document), [])
    t.match(JSON.stringify(document), /"format":"date-time"/)
    t.notMatch(JSON.stringify(document), /x-format/)
  }
)

t.test('what they would stumble over is told', async (t) => {
  const schema = { description: 'RFC 3339, but untyped', enum: ['a'] }
  const json = (one: object) => ({ content: { 'application/json': { schema: one } } })
  const operation = { operationId: 'x', requestBody: json(schema), responses: { 200: json({ type: 'object' }) } }
  const document = {
    paths: { '/x': { post: operation } },
    components: { schemas: { Thing: {}, thing: {}, XRequest: {} } }
  }
  t.same(stumbles(document), [
    'schema thing is named like schema Thing',
    'the parameters of x is named like schema XRequest',
    'the body of x has no title',
    'x 200 has no title',
    '/paths//x/post/requestBody/content/application/json/schema has an enum without a type',
    '/paths//x/post/requestBody/content/application/json/schema is a time without a format'
  ])
})
