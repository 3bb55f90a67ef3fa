import { useEffect, useState } from "preact/hooks";

import { asCallError } from "../hooks";
import type { CallError, Calls, Host, Method } from "../host";

/** The answer to a question, asked when the view appears and whenever `params` change. */
export function useAnswer<M extends Method>(
  host: Host,
  method: M,
  params: Calls[M]["params"],
): { value: Calls[M]["value"] | null; error: CallError | null; again: () => void } {
  const [answer, setAnswer] = useState<{ value: Calls[M]["value"] | null; error: CallError | null }>(
    NO_ANSWER,
  );
  const [attempt, setAttempt] = useState(0);
  useEffect(() => {
    let wanted = true;
    setAnswer((last) => (last.error ? NO_ANSWER : last));
    host.call(method, params).then(
      (value) => wanted && setAnswer({ value, error: null }),
      (error) => wanted && setAnswer({ value: null, error: asCallError(error) }),
    );
    return () => {
      wanted = false;
    };
  }, [host, method, JSON.stringify(params), attempt]);
  return { ...answer, again: () => setAttempt(attempt + 1) };
}

const NO_ANSWER = { value: null, error: null };

/** The answers to the same question of several things, each kept while the others change. */
export function useAnswers<M extends Method>(
  host: Host,
  method: M,
  asked: readonly Calls[M]["params"][],
): { of: (index: number) => { value: Calls[M]["value"] | null; error: CallError | null }; again: () => void } {
  type One = { value: Calls[M]["value"] | null; error: CallError | null };
  const [answers, setAnswers] = useState<ReadonlyMap<string, One>>(new Map());
  const [attempt, setAttempt] = useState(0);
  const keys = asked.map((params) => JSON.stringify(params));
  useEffect(() => {
    let wanted = true;
    const keep = (key: string, answer: One) =>
      wanted && setAnswers((before) => new Map(before).set(key, answer));
    asked.forEach((params, at) => {
      const key = keys[at] as string;
      if (answers.get(key)?.value) return;
      host.call(method, params).then(
        (value) => keep(key, { value, error: null }),
        (error) => keep(key, { value: null, error: asCallError(error) }),
      );
    });
    return () => {
      wanted = false;
    };
  }, [host, method, keys.join("\n"), attempt]);
  return {
    of: (index) => answers.get(keys[index] as string) ?? NO_ANSWER,
    again: () => setAttempt(attempt + 1),
  };
}
