import type { Request, Response } from 'express';
import type { z } from 'zod';
import type { Logger } from '../../logging/logger.ts';
import type { Caller } from './authentication.ts';
import type { EventStreams } from './event-streams.ts';
import type { ApiServices } from './services.ts';

/** What the operations work with. */
export interface ApiContext {
  readonly services: ApiServices;
  readonly log: Logger;
  readonly streams: EventStreams;
  /** Aborts when the server ends. */
  readonly signal: AbortSignal;
}

/** An answer as the description tells it. */
export interface AnswerSpec {
  description: string;
  /** Schemas by content type; without any the answer has no body. */
  content?: Readonly<Record<string, z.ZodType>>;
  headers?: Readonly<Record<string, string>>;
}

export interface Call<Query, Body> {
  request: Request;
  response: Response;
  /** Parameters of the path, decoded. */
  params: Readonly<Record<string, string>>;
  query: Query;
  body: Body;
  caller: Caller;
}

/** One method of one path: how it is described, what it takes, what it does. */
export interface Operation<Query = unknown, Body = unknown> {
  method: 'get' | 'post' | 'delete';
  /** Below the base path, parameters in braces. */
  path: string;
  name: string;
  summary: string;
  description?: string;
  query: z.ZodType<Query>;
  /** The JSON body that it takes; it may be left out, which is {}. */
  body?: z.ZodType<Body>;
  /** Request headers that mean something, with their meaning. */
  headers?: Readonly<Record<string, string>>;
  answers: Readonly<Record<number, AnswerSpec>>;
  handle(call: Call<Query, Body>): Promise<void> | void;
}

/** Ties the types of query and body to those of the handler. */
export function operation<Query, Body>(given: Operation<Query, Body>): Operation {
  return given as unknown as Operation;
}

export function json(description: string, schema: z.ZodType, headers?: Readonly<Record<string, string>>): AnswerSpec {
  return { description, content: { 'application/json': schema }, headers };
}

export function problemOf(
  description: string,
  schema: z.ZodType,
  headers?: Readonly<Record<string, string>>,
): AnswerSpec {
  return { description, content: { 'application/problem+json': schema }, headers };
}
