/**
 * As much of the schema library's types as the package's own types say of their schemas, so that
 * whoever installs the package needs no schema library to check a program against it.
 * build.mjs puts this in the place of the library's import.
 */
export interface ZodType<Output = unknown, _Input = unknown, _Internals = unknown> {
  readonly _zod: { readonly output: Output };
}
type Of<T> = T extends { readonly _zod: { readonly output: infer Output } } ? Output : never;
export type { Of as infer };

export interface ZodString extends ZodType<string> {}
export interface ZodNumber extends ZodType<number> {}
export interface ZodBoolean extends ZodType<boolean> {}
export interface ZodEnum<T extends Readonly<Record<string, string>>> extends ZodType<T[keyof T]> {}
export interface ZodNullable<T> extends ZodType<Of<T> | null> {}
export interface ZodArray<T> extends ZodType<Of<T>[]> {}
export interface ZodUnion<T extends readonly unknown[]> extends ZodType<Of<T[number]>> {}
export interface ZodRecord<K, V> extends ZodType<K extends core.$partial ? Partial<Record<Extract<Of<K>, string>, Of<V>>> : Record<Extract<Of<K>, string>, Of<V>>> {}
export interface ZodOptional<T> {
  readonly _zod: { readonly output: Of<T> | undefined; readonly optional: true };
}
type OptionalKey<Shape> = { [K in keyof Shape]: Shape[K] extends { readonly _zod: { readonly optional: true } } ? K : never }[keyof Shape];
type Flat<T> = { [K in keyof T]: T[K] };
export interface ZodObject<Shape, _Extra = unknown> extends ZodType<Flat<{ [K in Exclude<keyof Shape, OptionalKey<Shape>>]: Of<Shape[K]> } & { [K in OptionalKey<Shape>]?: Of<Shape[K]> }>> {}

export declare namespace core {
  interface $strict {}
  interface $strip {}
  interface $partial {
    readonly partial?: true;
  }
  interface $ZodTypeInternals<_Output = unknown, _Input = unknown> {}
}
