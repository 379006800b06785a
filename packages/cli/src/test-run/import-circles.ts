/** An import of one file of the repository by another, which is `file`. */
export type Edge = { readonly to: string; readonly file: string; readonly line: number; readonly source: string }

/** Which files of the repository each file imports, types among it, by path; or which folders each folder. */
export type ImportGraph = ReadonlyMap<string, readonly Edge[]>

/**
 * Files that import each other in circles and are known to: a circle within one of these lists is no violation, any other is. Who opens a
 * circle takes its files off; a list is only ever made shorter.
 */
const KNOWN: readonly (readonly string[])[] = []

/**
 * Finds files that import each other in circles: none of them can be read, tested or moved without the others.
 *
 * @param known lists of files whose circles are not told
 * @returns a line for each group of such files, with one of its circles, and for each known file that is in none any more
 */
export function findCircles(graph: ImportGraph, known: readonly (readonly string[])[] = KNOWN): string[] {
  const faults: string[] = []
  const inCircle = new Set<string>()
  for (const group of groupsOf(graph)) {
    for (const file of group) inCircle.add(file)
    if (known.some((list) => group.every((file) => list.includes(file)))) continue
    const [first, ...others] = shortestCircle(graph, group)
    const { file, line, source } = graph.get(first!)!.find(({ to }) => to === (others[0] ?? first))!
    faults.push(`${file}:${line}: ${source}: imports in a circle: ${[first, ...others, first].join(' → ')}`)
  }
  for (const file of known.flat())
    if (graph.has(file) && !inCircle.has(file))
      faults.push(`${file}: is in no circle of imports any more: take it off the list of known ones`)
  return faults
}

/**
 * The same between the folders of each app, so that they have an order: who is above uses who is below, and not the other way round. A file
 * that is in no folder stands for itself.
 */
export function foldersOf(graph: ImportGraph): ImportGraph {
  return grouped(graph, folderOf)
}

/**
 * The same for folders within folders. The files beside such a folder each stand for themselves: some of them use it, and it may use others of them, as long
 * as those do not use it.
 */
export function innerFoldersOf(graph: ImportGraph): ImportGraph {
  return grouped(graph, (file) => (folderOf(file) === undefined ? undefined : (innerFolderOf(file) ?? file)))
}

function grouped(graph: ImportGraph, groupOf: (file: string) => string | undefined): ImportGraph {
  const folders = new Map<string, Edge[]>()
  for (const [file, edges] of graph) {
    const from = groupOf(file)
    if (from === undefined) continue
    const of = folders.get(from) ?? []
    folders.set(from, of)
    for (const edge of edges) {
      const to = groupOf(edge.to)
      if (to !== undefined && to !== from) of.push({ ...edge, to })
    }
  }
  return folders
}

function folderOf(file: string): string | undefined {
  return /^apps\/[^/]+\/src\/[^/]+/.exec(file)?.[0]
}

function innerFolderOf(file: string): string | undefined {
  return /^apps\/[^/]+\/src\/[^/]+\/.+(?=\/)/.exec(file)?.[0]
}

/** Groups of files of which each imports each, by way of others (Tarjan, "Depth-First Search and Linear Graph Algorithms", 1972). */
function groupsOf(graph: ImportGraph): string[][] {
  const groups: string[][] = []
  const place = new Map<string, number>()
  const lowest = new Map<string, number>()
  const stack: string[] = []
  const visit = (file: string) => {
    place.set(file, place.size)
    lowest.set(file, place.get(file)!)
    const depth = stack.push(file) - 1
    for (const { to } of graph.get(file)!) {
      if (!graph.has(to)) continue
      if (!place.has(to)) visit(to)
      if (stack.includes(to)) lowest.set(file, Math.min(lowest.get(file)!, lowest.get(to)!))
    }
    if (lowest.get(file) !== place.get(file)) return
    const group = stack.splice(depth).sort()
    if (group.length > 1 || graph.get(file)!.some(({ to }) => to === file)) groups.push(group)
  }
  for (const file of [...graph.keys()].sort()) if (!place.has(file)) visit(file)
  return groups
}

/** A circle of a group that is as short as any, each of its files once. */
function shortestCircle(graph: ImportGraph, group: readonly string[]): string[] {
  let shortest: string[] | undefined
  for (const start of group) {
    const from = new Map<string, string>()
    const queue = [start]
    for (let file = queue.shift(); file !== undefined && !from.has(start); file = queue.shift()) {
      for (const { to } of graph.get(file)!) {
        if (!group.includes(to) || from.has(to)) continue
        from.set(to, file)
        queue.push(to)
      }
    }
    const circle = [start]
    for (let file = from.get(start)!; file !== start; file = from.get(file)!) circle.splice(1, 0, file)
    if (shortest === undefined || circle.length < shortest.length) shortest = circle
  }
  return shortest!
}
