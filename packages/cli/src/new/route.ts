import { StartError } from '@skerry/stores'
import { applyChanges } from './changes.ts'
import { readContracts } from './contracts.ts'
import { assertAbsent, assertService, inserted, readIn, tableHint, withImport } from './existing.ts'
import { format } from './format.ts'
import { renderFile } from './templates.ts'
import { capital, kebab } from './words.ts'

const USAGE = './skerry new route notes pinNote PUT /v1/notes/:id/pin'
const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE']

export type NewRoute = { service?: string; route?: string; method?: string; path?: string }

/** Declares, serves and tests a route that answers with what it was given. Throws one line that says why it cannot be. */
export async function newRoute(repo: string, asked: NewRoute, say: (line: string) => void): Promise<void> {
  const { service, route, path } = asked
  assertService(repo, service, USAGE)
  const method = asked.method?.toUpperCase() ?? ''
  if (route === undefined || !/^[a-z][a-zA-Z0-9]{1,39}$/.test(route))
    throw new StartError(`"${route ?? ''}" cannot be a route's name: write it likeThis, as in ${USAGE}`)
  if (!METHODS.includes(method))
    throw new StartError(`"${asked.method ?? ''}" is not a method: use one of ${METHODS.join(', ')}`)
  if (path === undefined || !/^\/v\d+(\/(:[a-z][a-zA-Z]*|[a-z0-9-]+))+$/.test(path))
    throw new StartError(`"${path ?? ''}" cannot be a path: write it as in ${USAGE}`)
  const declared = await readContracts(repo)
  refuseTaken(declared.routes, service, method, path)

  const contracts = `packages/contracts/src/http/${service}.ts`
  const before = await readIn(repo, contracts)
  if (new RegExp(`^ {2}${route}: `, 'm').test(before)) throw new StartError(`${service}Routes has ${route} already`)
  const file = kebab(route)
  const folder = `apps/${service}`
  const made = {
    route: `${folder}/src/routes/${file}.ts`,
    domain: `${folder}/src/domain/${file}.ts`,
    test: `${folder}/test/${file}.test.ts`
  }
  for (const one of Object.values(made)) assertAbsent(repo, one)

  const values = valuesOf(service, route, method, path)
  const contract = await renderFile('route/contract.ts.tmpl', values)
  const opening = new RegExp(`^export const ${service}Routes = \\{\\n`, 'm')
  let text = inserted(before, { path: contracts, anchor: opening, side: 'after' }, `${contract.trimEnd()},\n`)
  for (const [name, from] of [
    ['IdSchema', '../common.ts'],
    ['Strict', '../common.ts'],
    ...(contract.includes('StringLike') ? [['StringLike', '../common.ts'] as const] : [])
  ] as const)
    if (!new RegExp(`\\b${name}\\b[^(]*from`).test(before)) text = withImport(text, `import { ${name} } from '${from}'`)
  const app = `${folder}/src/app.ts`
  const registered = inserted(
    await readIn(repo, app),
    { path: app, anchor: /^ {2}return (app|\{ app\b.*)$/m, side: 'before' },
    `  register${capital(route)}(app)\n`
  )
  const create = new Map<string, string>()
  for (const [what, one] of Object.entries(made)) create.set(one, await renderFile(`route/${what}.ts.tmpl`, values))
  const edit = new Map([
    [contracts, text],
    [app, withImport(registered, `import { register${capital(route)} } from './routes/${file}.ts'`)]
  ])
  await applyChanges(repo, { create, edit }, async () => format(repo, [...create.keys(), ...edit.keys()]))
  for (const one of [contracts, ...create.keys(), app]) say(`  ${one}`)
  say(
    `\n${method} ${path} answers with what it is given. What it does is written in ${made.domain}; try it with: npm test ${service}${tableHint(repo, service)}`
  )
}

function refuseTaken(routes: ReadonlyMap<string, string>, service: string, method: string, path: string): void {
  const shape = (text: string) => text.replaceAll(/:\w+/g, ':')
  const prefix = path.split('/', 3).join('/')
  for (const [known, file] of routes) {
    if (shape(known) === shape(`${method} ${path}`))
      throw new StartError(`${known} exists: see packages/contracts/src/${file}`)
    const other = known.slice(known.indexOf(' ') + 1)
    if (file !== `http/${service}.ts` && (other === prefix || other.startsWith(`${prefix}/`)))
      throw new StartError(
        `the prefix ${prefix} belongs to another service: packages/contracts/src/${file} declares ${known}`
      )
  }
}

/** What differs with the method and the parameters. */
function valuesOf(service: string, route: string, method: string, path: string): Record<string, string> {
  const parameters = [...path.matchAll(/:(\w+)/g)].map(([, name]) => name!)
  const hasParams = parameters.length > 0
  const hasBody = method === 'POST' || method === 'PUT' || method === 'PATCH'
  const given = (text: { params: string; body: string }) => `${hasParams ? text.params : ''}${hasBody ? text.body : ''}`
  const words = capital(kebab(route).replaceAll('-', ' '))
  const payload = "payload: { text: 'x' }"
  return {
    ...{ service, route, Route: capital(route), method, path, file: kebab(route) },
    title: `${capital(service)}${capital(route)}`,
    summary: words.split(' ').slice(0, 5).join(' ').slice(0, 40),
    description: `${words}.`,
    inputs: `${given({
      params: `params: Strict({ ${parameters.map((name) => `${name}: IdSchema`).join(', ')} }),\n`,
      body: `body: Strict({ text: StringLike('Some text.', { minLength: 1, maxLength: 2000 }) }, { title: '${capital(service)}${capital(route)}Body' }),\n`
    })}query: Strict({}),`,
    answer: given({
      params: `${parameters.map((name) => `${name}: IdSchema`).join(', ')}${hasBody ? ', ' : ''}`,
      body: "text: StringLike('Some text.')"
    }),
    types: given({ params: 'ParamsOf, ', body: 'BodyOf, ' }),
    parameters: given({ params: ', params: ParamsOf<Route>', body: ', body: BodyOf<Route>' }),
    members: given({ params: ', ...params', body: ', ...body' }),
    taken: given({ params: ', params', body: ', body' }),
    good: hasBody ? `, ${payload}` : '',
    anonymous: hasBody ? payload : '',
    bad: hasBody
      ? "  t.match(await send({ token, payload: { text: '' } }), { status: 400, body: { errors: [{ path: 'body.text' }] } })\n"
      : ''
  }
}
