import Type, { type Static, type TSchema } from 'typebox'
import { EXAMPLE_IDS, EXAMPLE_TEXTS, EXAMPLE_TIMES } from './examples.ts'

/** An object that refuses members it doesn't know: every body and query a client sends is one. */
export function Strict<const P extends Record<string, TSchema>>(properties: P, options: object = {}) {
  return Type.Object(properties, { additionalProperties: false, ...options })
}

/** A value or null. */
export function Nullable<const T extends TSchema>(schema: T) {
  return Type.Union([schema, Type.Null()])
}

/**
 * One of some values, of which there may be more one day: readers have to let ones that they don't know pass. Everything that an event or an
 * answer says out of a list is one; in JSON Schema it is a string with its values under `x-open-enum`.
 */
export function OpenEnum(values: readonly string[], example = values[0]!) {
  return Type.String({
    description: `${values.join(', ')}; an open enum: expect new values.`,
    examples: [example, ...values.filter((value) => value !== example)],
    'x-open-enum': [...values]
  })
}

/** A string that documents show with this example instead of its member's name. */
export function StringLike(example: string, options: object = {}) {
  return Type.String({ ...options, examples: [example] })
}

/** A name as people write it, for a request. What a pattern cannot say is in its description. */
export function NameLike(example: string, maxLength: number) {
  return StringLike(example, {
    ...{ minLength: 1, maxLength },
    description:
      'One line of text with something that can be seen: no control characters, line breaks or characters that turn the direction of text.'
  })
}

/** An id with an example of its own, so that the ids in documents agree with each other. */
export function Id(example: string) {
  return Type.String({
    pattern: '^[0-7][0-9a-hjkmnp-tv-z]{25}$',
    description: 'An opaque id of 26 characters.',
    examples: [example]
  })
}

/** 128 bits as 26 characters of lower-case Crockford base32: time, bucket, random (see packages/store). */
export const IdSchema = Id(EXAMPLE_IDS.any)

/**
 * A time with an example of its own. Services check the pattern. OpenAPI documents say `format: date-time` in addition (`x-format`), so that
 * generated clients have a type for times; a `format` in the contract itself would narrow what released payloads may hold.
 */
export function Time(example: string) {
  return Type.String({
    pattern: '^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z$',
    description: 'RFC 3339 in UTC with milliseconds.',
    examples: [example],
    'x-format': 'date-time'
  })
}

/** RFC 3339, UTC, milliseconds. */
export const TimeSchema = Time(EXAMPLE_TIMES.signedUp)

export const UsernameSchema = Type.String({
  minLength: 3,
  maxLength: 30,
  pattern: '^[A-Za-z0-9_.-]+$',
  description: 'Letters, digits, dot, dash and underscore. Unique without regard to case.',
  examples: ['ada']
})

/** Something after an @, no white space: what can be mailed is proved by mailing it, not by a pattern. */
export const EmailSchema = Type.String({
  minLength: 3,
  maxLength: 254,
  pattern: '^[^\\s@<>,;"]+@[^\\s@<>,;"]+\\.[^\\s@<>,;".]+$',
  examples: ['ada@example.com']
})

export const PasswordSchema = StringLike('correct horse battery staple', { minLength: 8, maxLength: 256 })

/** Page size of a list; the default is applied by the service. */
export const LimitSchema = Type.Integer({ minimum: 1, maximum: 100, default: 20 })

export const CursorSchema = StringLike(EXAMPLE_TEXTS.cursor, {
  minLength: 1,
  maxLength: 512,
  pattern: '^[A-Za-z0-9_-]+$',
  description: 'The `nextCursor` of the previous page, as it came: anything else is refused (400).'
})

/** `fields=id,text,author.username`: only these members come back. */
export const FieldsSchema = Type.String({
  minLength: 1,
  maxLength: 512,
  pattern: '^[A-Za-z0-9_]+(\\.[A-Za-z0-9_]+)*(,[A-Za-z0-9_]+(\\.[A-Za-z0-9_]+)*)*$',
  description:
    'Comma-separated paths of the members to return. The response then lacks all others, also those that its schema requires. A path that there is not is refused (400).',
  examples: ['id,createdAt']
})

/** The query members every list takes. */
export const PageQuery = {
  limit: Type.Optional(LimitSchema),
  cursor: Type.Optional(CursorSchema),
  fields: Type.Optional(FieldsSchema)
}

/** `{ items, nextCursor }`; `nextCursor` is null on the last page. The page of a titled item has a title too: `PostPage`. */
export function Page<const T extends TSchema>(item: T) {
  const { title } = item as { title?: string }
  return Type.Object(
    { items: Type.Array(item), nextCursor: Nullable(StringLike(EXAMPLE_TEXTS.cursor)) },
    title === undefined ? {} : { title: `${title}Page` }
  )
}

/** What every list in the API answers. */
export type PageOf<T> = { items: T[]; nextCursor: string | null }

/** A picture a client can load; `url` is absolute. */
export const ImageSchema = Type.Object(
  { id: Id(EXAMPLE_IDS.image), url: StringLike(EXAMPLE_TEXTS.pictureUrl) },
  { title: 'Image' }
)
export type Image = Static<typeof ImageSchema>

export const ViolationSchema = Type.Object(
  {
    path: StringLike('body.username', {
      description: 'The location: `body.text`, `query.limit`, `params.id`, `header.if-match`.'
    }),
    code: StringLike('taken'),
    message: StringLike('is taken')
  },
  { title: 'Violation' }
)
export type Violation = Static<typeof ViolationSchema>

/** RFC 9457, the one shape of every error from the gateway and every service. */
export const ProblemSchema = Type.Object(
  {
    type: StringLike('urn:skerry:error:auth-username-taken'),
    title: StringLike('This username is taken'),
    status: Type.Integer({ examples: [409] }),
    code: StringLike('AUTH_USERNAME_TAKEN', {
      description: 'Stable, for programs. An open enum: expect new values.'
    }),
    detail: Type.Optional(StringLike('Choose another username.')),
    requestId: Type.Optional(StringLike(EXAMPLE_TEXTS.requestId)),
    errors: Type.Optional(Type.Array(ViolationSchema))
  },
  { title: 'Problem', description: 'RFC 9457 problem details' }
)
export type Problem = Static<typeof ProblemSchema>
