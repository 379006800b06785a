import { BaseConfigSchema, NatsConfigSchema, parseConfig } from '@skerry/service/process'
import Type, { type Static } from 'typebox'
import { answers, compression, http2, limits, network, requests, tls, webSockets } from './settings/clients.ts'
import { alone, cache, documents, ejection, overload, retries, upstreams } from './settings/services.ts'

/** The settings of the gateway besides those of every app, by what they are about; docs/gateway-settings.md is made of them. */
export const SETTINGS = {
  'Network and process': network,
  'Without NATS (a fixed list of services)': alone,
  Requests: requests,
  'Answers to slow clients': answers,
  TLS: tls,
  'HTTP/2': http2,
  WebSockets: webSockets,
  Compression: compression,
  'Connections to services': upstreams,
  'Retries and hedges': retries,
  'Health and ejection': ejection,
  Overload: overload,
  Limits: limits,
  Cache: cache,
  'API documents': documents
} as const

/**
 * Durations are in milliseconds, sizes in bytes. Every bound that refuses or ends something for being too much, too large or too slow has its name in settings/; which
 * bounds are constants in the code, and why, is in docs/gateway-clients.md ("Settings and constants").
 */
export const GatewayConfigSchema = Type.Object({
  ...BaseConfigSchema.properties,
  ...network,
  ...alone,
  ...requests,
  ...answers,
  ...tls,
  ...http2,
  ...webSockets,
  ...compression,
  ...upstreams,
  ...retries,
  ...ejection,
  ...overload,
  ...limits,
  ...cache,
  ...documents
})
export type GatewayConfig = Static<typeof GatewayConfigSchema>

/** With a registry it finds its services through NATS. */
const RegistrySchema = Type.Object({ ...GatewayConfigSchema.properties, ...NatsConfigSchema.properties })
export type RegistryConfig = Static<typeof RegistrySchema>

type Environment = Readonly<Record<string, string | undefined>>

/** Whether the gateway is to run alone, in front of a fixed list. */
export function isAlone({ ROUTES = '', ROUTES_FILE = '' }: Environment): boolean {
  return ROUTES !== '' || ROUTES_FILE !== ''
}

/** Reads the settings of a gateway alone; throws one line that names each bad variable. */
export function readAloneConfig(env: Environment): GatewayConfig {
  return parseConfig(GatewayConfigSchema, env)
}

/** Reads the gateway's settings; throws one line that names each bad variable. */
export function readConfig(env: Environment): RegistryConfig {
  return parseConfig(RegistrySchema, env)
}
