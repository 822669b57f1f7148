/**
 * What a value's type becomes on its way through JSON. The outputs of steps travel between nodes as JSON, so a step that
 * returns a `Date` gives its children a string; these types say so. Types only.
 */

type IsAny<T> = 0 extends 1 & T ? true : false;
type Dropped = undefined | symbol | ((...args: never[]) => unknown);

/** Properties that are there only sometimes: JSON leaves out what is `undefined`. */
type UndefinableKeys<T> = {
  [K in keyof T]-?: IsAny<T[K]> extends true ? never : unknown extends T[K] ? never : undefined extends T[K] ? K : never;
}[keyof T];

type AsJsonObject<T> = {
  [K in keyof T as K extends symbol | UndefinableKeys<T> ? never : [T[K]] extends [Dropped] ? never : K]: AsJson<T[K]>;
} & {
  [K in keyof T as K extends UndefinableKeys<T> & (string | number) ? ([T[K]] extends [Dropped] ? never : K) : never]?: AsJson<
    Exclude<T[K], Dropped>
  >;
};

/** `JSON.parse(JSON.stringify(value))`, as a type. Nothing at all is stored as `null`; a function has no JSON form. */
export type AsJson<T> =
  IsAny<T> extends true
    ? T
    : unknown extends T
      ? T
      : T extends string | number | boolean | null
        ? T
        : T extends { toJSON(): infer R }
          ? AsJson<R>
          : T extends undefined | void
            ? null
            : T extends Dropped | bigint
              ? never
              : T extends readonly unknown[]
                ? { [I in keyof T]: AsJson<T[I]> }
                : // Copied, so that editors show one object and not how it was put together.
                  T extends object
                  ? AsJsonObject<T> extends infer O
                    ? { [K in keyof O]: O[K] }
                    : never
                  : never;
