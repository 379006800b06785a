import type { RouteRules } from '@skerry/contracts'

/**
 * Where requests of a route wait, and have their limit: with those of their service, or, where the route has a class of limits (`sign-in`,
 * `search` …), with those of that class. What costs a hundred times as much as the rest would else lower the limit of all and fill the line
 * of all: a flood of sign-ins is no reason to refuse a refresh, which hashes nothing.
 */
export function laneOf(route: { readonly service: string; readonly rules: RouteRules | undefined }): string {
  const limit = route.rules?.limit
  return limit === undefined ? route.service : `${route.service}:${limit}`
}

/** Whose lane it is. */
export function serviceOf(lane: string): string {
  const end = lane.indexOf(':')
  return end === -1 ? lane : lane.slice(0, end)
}
