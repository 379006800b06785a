import { glob, readdir, readFile } from 'node:fs/promises'
import { dirname, join, posix } from 'node:path'
import { type Edge, findCircles, foldersOf, innerFoldersOf } from './import-circles.ts'

/** What a line of a source file imports. */
type Use = { line: number; source: string }

/** From the outermost to the innermost room of an app; what is in no room (config, metrics …) may be used by all. */
const ROOMS = ['main', 'serve', 'app', 'routes', 'events', 'domain', 'data'] as const
type Room = (typeof ROOMS)[number]

const MAY_USE: Record<Room, readonly Room[]> = {
  main: ['serve', 'app', 'routes', 'events', 'domain', 'data'],
  // What main loads where it is the one that serves, and not one that starts others.
  serve: ['app', 'routes', 'events', 'domain', 'data'],
  app: ['routes', 'events', 'domain', 'data'],
  routes: ['domain', 'data'],
  events: ['domain', 'data'],
  domain: ['data'],
  data: []
}

const FRAMEWORKS = /^(fastify|@fastify\/.*|mongodb|nats|@nats-io\/.*)(\/|$)/
const IMPORT =
  /^[ \t]*(?:import|export)\s+[^'";]*?\bfrom\s*['"]([^'"]+)['"]|^[ \t]*import\s*['"]([^'"]+)['"]|\bimport\s*\(\s*['"]([^'"]+)['"]/gm

/**
 * Holds the rules of who may import whom, which neither turbo's tags nor the linter can say.
 *
 * @param repo root folder of the checkout
 * @returns a line `file:line: rule` for each violation
 */
export async function checkImports(repo: string): Promise<string[]> {
  const apps = await readdir(join(repo, 'apps'))
  const faults: string[] = []
  const graph = new Map<string, Edge[]>()
  for await (const found of glob('{apps,packages,infra}/*/{src,test}/**/*.ts', { cwd: repo })) {
    const path = found.replaceAll('\\', '/')
    const text = withoutComments(await readFile(join(repo, path), 'utf8'))
    const edges: Edge[] = []
    graph.set(path, edges)
    for (const use of usesOf(text)) {
      const rule = brokenRule(path, use, apps)
      if (rule !== undefined) faults.push(`${path}:${use.line}: ${use.source}: ${rule}`)
      if (use.source.startsWith('.')) edges.push({ ...use, file: path, to: posix.join(dirname(path), use.source) })
    }
    if (!/^apps\/[^/]+\/src\//.test(path) || /^apps\/[^/]+\/src\/main\.ts$/.test(path)) continue
    for (const { 0: what, index } of text.matchAll(/\bprocess\.(env\b|(on|once|kill|exit)\()/g)) {
      faults.push(
        `${path}:${lineAt(text, index)}: ${what.replace('(', '')}: only main.ts touches the environment and signals`
      )
    }
  }
  const circles = findCircles(graph)
  faults.push(...circles)
  // Files that import each other in a circle are often in two folders: once is enough.
  if (circles.length === 0) faults.push(...findCircles(foldersOf(graph)), ...findCircles(innerFoldersOf(graph)))
  return faults.sort()
}

function brokenRule(path: string, use: Use, apps: readonly string[]): string | undefined {
  const [kind, name, part] = path.split('/') as [string, string, string]
  const target = use.source.startsWith('.') ? posix.join(dirname(path), use.source) : undefined
  const app = target === undefined ? /^@skerry\/([^/]+)/.exec(use.source)?.[1] : /^apps\/([^/]+)\//.exec(target)?.[1]
  if (app !== undefined && apps.includes(app) && !(kind === 'apps' && app === name)) {
    return kind === 'apps' ? 'apps never import apps' : 'nothing imports an app'
  }
  if (target !== undefined && !target.startsWith(`${kind}/${name}/`)) return 'a relative import stays in its package'
  if (part !== 'src') return undefined
  if (kind === 'packages' && name === 'contracts' && target === undefined && !/^typebox(\/|$)/.test(use.source)) {
    return 'contracts depends on typebox alone'
  }
  return kind === 'apps' ? brokenInApp(path, use, target) : undefined
}

function brokenInApp(path: string, use: Use, target: string | undefined): string | undefined {
  const room = roomOf(path)
  if (room === 'domain' && FRAMEWORKS.test(use.source)) return 'the domain knows no framework, database or broker'
  if (room !== 'data' && /^mongodb(\/|$)/.test(use.source)) return 'only src/data imports mongodb'
  const other = target === undefined ? undefined : roomOf(target)
  if (other === undefined || other === room) return undefined
  if (room === undefined)
    return ['main', 'serve', 'app'].includes(other) ? `nothing but main imports ${other}` : undefined
  return MAY_USE[room].includes(other) ? undefined : `${room} may not import ${other}`
}

function roomOf(path: string): Room | undefined {
  const first = path.split('/')[3]?.replace(/\.ts$/, '')
  return ROOMS.find((room) => room === first)
}

function* usesOf(text: string): Generator<Use> {
  for (const match of text.matchAll(IMPORT)) {
    const [whole, from, bare, dynamic] = match
    const source = from ?? bare ?? dynamic ?? ''
    yield { line: lineAt(text, match.index + whole.length), source }
  }
}

function lineAt(text: string, index: number): number {
  return text.slice(0, index).split('\n').length
}

/** Comments as empty lines, so that line numbers stay. */
function withoutComments(text: string): string {
  return text.replace(/^\s*\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, (comment) => comment.replace(/[^\n]/g, ''))
}
