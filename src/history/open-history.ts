/**
 * The history as an engine node has it: the file in its data folder, fed with the journals of all partitions.
 */
import { join } from "node:path";
import type { Logger } from "pino";
import { createNames, DEFAULT_PREFIX } from "../nats/subjects.ts";
import type { GroupDecisionView, MachineDefinition, RunRecord } from "../protocol/record.ts";
import type { Page, RunEventView, RunListQuery, RunView } from "../protocol/view.ts";
import type { WorkflowSpec } from "../workflow/spec.ts";
import { HistoryFeed, type ReadJournal } from "./feed.ts";
import type { DecisionQuery } from "./group-decisions.ts";
import { createHistory, type History, LOCKED } from "./history.ts";
import type { HistoryOptions } from "./history-options.ts";
import type { JournalPosition } from "./messages.ts";
import type { RunRow } from "./run-fold.ts";

export interface OpenHistoryOptions {
  /** Folder of the file: `history.db`, or `history.<prefix>.db` for a prefix of one's own. */
  readonly dataDir: string;
  readonly prefix: string;
  /** How long runs that have ended are kept. */
  readonly retentionMs: number;
  readonly logger: Logger;
  /** How many runs are kept. Default 500,000 (about 1 GB with small payloads). */
  readonly maxRuns?: number;
  /** How large the file may become, in bytes. Default: as large as it takes. */
  readonly maxBytes?: number | undefined;
  /** Rules of what is not stored as it is, and the key to keep it with; see HistoryOptions. */
  readonly redact?: readonly string[] | undefined;
  readonly sealKey?: string | undefined;
  /** Anything that tells this cluster's journals from others, for example when its streams were created. */
  readonly cluster?: string;
  /** Where batches that were not taken are read again. Without it they are missing until the next start. */
  readonly readJournal?: ReadJournal;
  /** Time until a file that failed is tried again. Default 5 s. */
  readonly retryMs?: number;
}

const MAX_RUNS = 500_000;

/** Engine nodes that share a folder have a file each. */
const MAX_FILES = 16;

/**
 * Resolves when the file is open, or could not be opened: then it is tried again, and meanwhile reads are refused. Where another process
 * has it, the next one is taken: `history.2.db`, ….
 */
export async function openHistory(options: OpenHistoryOptions): Promise<NodeHistory> {
  for (let number = 1; ; number++) {
    const history = new NodeHistory(options, number);
    await history.start();
    if (number === MAX_FILES || history.unavailable?.includes(LOCKED) !== true) return history;
    await history.stop();
  }
}

export class NodeHistory {
  readonly service: History;
  readonly #logger: Logger;
  readonly #readJournal: ReadJournal | undefined;
  readonly #feeds = new Map<number, HistoryFeed>();

  /** `number`: of the file, from 1. */
  constructor(options: OpenHistoryOptions, number = 1) {
    const {
      dataDir,
      prefix,
      retentionMs,
      logger,
      maxRuns = MAX_RUNS,
      maxBytes,
      redact,
      sealKey,
      cluster,
      readJournal,
      retryMs,
    } = options;
    this.#logger = logger.child({ component: "history" });
    this.#readJournal = readJournal;
    const settings: HistoryOptions = {
      file: join(
        dataDir,
        ["history", ...(prefix === DEFAULT_PREFIX ? [] : [prefix]), ...(number === 1 ? [] : [number]), "db"].join("."),
      ),
      logger: this.#logger,
      eventsStream: createNames(prefix).eventsStream,
      retention: { maxAgeMs: retentionMs, maxRuns, ...(maxBytes !== undefined && { maxBytes }) },
      ...(redact !== undefined && { redact }),
      ...(sealKey !== undefined && { sealKey }),
      ...(cluster !== undefined && { cluster }),
      ...(retryMs !== undefined && { retryMs }),
      mayBeTaken: number < MAX_FILES,
      onOpen: () => {
        for (const feed of this.#feeds.values()) feed.check();
      },
    };
    this.service = createHistory(settings);
  }

  async start(): Promise<void> {
    await this.service.start();
  }

  async stop(): Promise<void> {
    await this.service.stop();
  }

  define(spec: WorkflowSpec): void {
    this.service.define(spec);
  }

  /** Up to here the journal may go, as far as the history is concerned, and from here on it is to be fed after a start. */
  position(partition: number): number {
    return this.service.syncedPosition(partition);
  }

  /** Up to here its answers know the journal. */
  committed(partition: number): number {
    return this.service.position(partition);
  }

  sync(): Promise<void> {
    return this.service.flush();
  }

  get unavailable(): string | undefined {
    return this.service.unavailable;
  }

  /** Every message of the journal, in order, beginning after `position`. False: not now, it will be read again. */
  apply(partition: number, seq: number, text: string): boolean {
    let feed = this.#feeds.get(partition);
    if (feed === undefined) {
      feed = new HistoryFeed({ history: this.service, partition, logger: this.#logger, readJournal: this.#readJournal });
      this.#feeds.set(partition, feed);
    }
    return feed.offer(seq, text);
  }

  /** Before the journal's messages after `position`, where the newest snapshot lies above that. */
  applySnapshot(partition: number, journalSeq: number, lines: readonly string[]): void {
    this.service.applySnapshot(partition, journalSeq, lines).catch((error: unknown) => {
      this.#logger.warn({ err: error, partition }, "the history could not take a snapshot: it may lack runs that are open");
    });
  }

  record(id: string, after?: readonly JournalPosition[], afterIndex?: number): Promise<RunRecord | undefined> {
    return this.service.record(id, readOptions(after), afterIndex);
  }

  machine(
    which: { readonly hash: string } | { readonly workflow: string; readonly version: string },
  ): Promise<MachineDefinition | undefined> {
    return this.service.machine(which);
  }

  run(id: string, after?: readonly JournalPosition[]): Promise<RunRow | undefined> {
    return this.service.run(id, readOptions(after));
  }

  /** Inputs that are not in the history itself are undefined. */
  async list(query: RunListQuery): Promise<Page<RunView>> {
    const page = await this.service.list(query);
    return { ...page, items: page.items.map(({ view }) => view) };
  }

  scan(query: RunListQuery, size: number): ReturnType<History["scan"]> {
    return this.service.scan(query, size);
  }

  async rows(ns: readonly number[], fields?: RunListQuery["fields"]): Promise<readonly RunView[]> {
    return (await this.service.rows(ns, fields)).map(({ view }) => view);
  }

  count(query: RunListQuery): ReturnType<History["count"]> {
    return this.service.count(query);
  }

  statuses(workflow: string, version: string): ReturnType<History["statuses"]> {
    return this.service.statuses(workflow, version);
  }

  /** Empty for a run that it does not know. */
  async events(id: string, after?: readonly JournalPosition[]): Promise<RunEventView[]> {
    return [...((await this.service.events(id, readOptions(after))) ?? [])];
  }

  decisions(query: DecisionQuery, after?: readonly JournalPosition[]): Promise<Page<GroupDecisionView>> {
    return this.service.decisions(query, readOptions(after));
  }

  runsOfEvents(seqs: readonly number[]): Promise<ReadonlyMap<number, readonly string[]>> {
    return this.service.runsOfEvents(seqs);
  }
}

function readOptions(after: readonly JournalPosition[] | undefined): { readonly after?: readonly JournalPosition[] } {
  return after === undefined ? {} : { after };
}
