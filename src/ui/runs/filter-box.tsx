/** The filter box: text with completion, a combobox as ARIA describes it. What it means is `filter.ts`. */
import type { JSX, TargetedKeyboardEvent } from "preact";
import { useEffect, useId, useLayoutEffect, useRef, useState } from "preact/hooks";
import { type Suggestion, suggestionsFor } from "./completion.ts";
import { parseFilter } from "./filter.ts";
import { knownValues, refreshKnownStates, refreshKnownValues } from "./known-values.ts";

export interface FilterBoxProps {
  readonly value: string;
  /** `done`: it was finished with Enter, or left; otherwise it is still being typed. */
  readonly onChange: (text: string, done: boolean) => void;
}

/** After the last letter; then what is typed so far applies. */
const SETTLE_MS = 200;
const SHOWN_PROBLEMS = 3;

export function FilterBox({ value, onChange }: FilterBoxProps): JSX.Element {
  const [text, setText] = useState(value);
  const [caret, setCaret] = useState(0);
  const [open, setOpen] = useState(false);
  const [chosen, setChosen] = useState(-1);
  const input = useRef<HTMLInputElement>(null);
  /** Where the caret has to be once the text is there. */
  const place = useRef<number | undefined>(undefined);
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const list = useId();
  // Another address (back, a counter, a saved view): what is typed gives way.
  useEffect(() => {
    if (value === text.trim()) return;
    clearTimeout(timer.current);
    setText(value);
  }, [value]);
  useEffect(() => () => clearTimeout(timer.current), []);
  useLayoutEffect(() => {
    if (place.current !== undefined) input.current?.setSelectionRange(place.current, place.current);
    place.current = undefined;
  }, [text]);

  const suggestions = open ? suggestionsFor(text, caret, knownValues.value) : [];
  const { problems, query, tokens } = parseFilter(text);
  // Only where states are asked for: to count runs by state is more work than to list names.
  const statesOf = open && tokens.some(({ field }) => field === "state") ? query.workflow : undefined;
  useEffect(() => {
    if (statesOf !== undefined) void refreshKnownStates(statesOf);
  }, [statesOf]);

  const change = (next: string, at: number) => {
    setText(next);
    setCaret(at);
    setChosen(-1);
    setOpen(true);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => onChange(next, false), SETTLE_MS);
  };
  const finish = (next: string) => {
    clearTimeout(timer.current);
    setOpen(false);
    onChange(next.trim(), true);
  };
  const take = (suggestion: Suggestion) => {
    change(suggestion.text, suggestion.caret);
    place.current = suggestion.caret;
  };
  const onKeyDown = (event: TargetedKeyboardEvent<HTMLInputElement>) => {
    // Tab takes the first one while a word is being typed; behind a space it goes on to what is next on the page.
    const typing = /\S$/.test(text.slice(0, caret));
    const suggestion = suggestions[chosen] ?? (event.key === "Tab" && typing ? suggestions[0] : undefined);
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      const step = event.key === "ArrowDown" ? 1 : -1;
      if (!open) setOpen(true);
      // From -1, nothing chosen, up goes to the last one.
      else setChosen(((chosen + 1 + step + suggestions.length + 1) % (suggestions.length + 1)) - 1);
    } else if (event.key === "Enter" && suggestion === undefined) finish(text);
    else if ((event.key === "Enter" || event.key === "Tab") && suggestion !== undefined && open && !event.shiftKey)
      take(suggestion);
    else if (event.key === "Escape" && open && suggestions.length > 0) setOpen(false);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return (
    <div class="runs-filter">
      <input
        ref={input}
        data-filter
        class="kit-input runs-filter-input"
        role="combobox"
        aria-label="Filter runs"
        aria-expanded={suggestions.length > 0}
        aria-controls={list}
        aria-autocomplete="list"
        aria-activedescendant={chosen === -1 ? undefined : `${list}-${chosen}`}
        aria-invalid={problems.length > 0}
        aria-describedby={problems.length > 0 ? `${list}-problem` : undefined}
        autocomplete="off"
        spellcheck={false}
        placeholder="Filter: status:failed workflow:answer some text"
        value={text}
        onInput={(event) =>
          change(event.currentTarget.value, event.currentTarget.selectionStart ?? event.currentTarget.value.length)
        }
        onClick={(event) => {
          setCaret(event.currentTarget.selectionStart ?? 0);
          setOpen(true);
        }}
        onFocus={(event) => {
          setCaret(event.currentTarget.selectionStart ?? 0);
          setOpen(true);
          void refreshKnownValues();
        }}
        onBlur={() => {
          if (text.trim() !== value) finish(text);
          else setOpen(false);
        }}
        onPaste={(event) => {
          // Several lines would be joined without the space between them.
          const pasted = event.clipboardData?.getData("text") ?? "";
          if (!/[\r\n\t]/.test(pasted)) return;
          event.preventDefault();
          const { selectionStart, selectionEnd, value: before } = event.currentTarget;
          const words = pasted.trim().replaceAll(/\s+/g, " ");
          const from = selectionStart ?? before.length;
          change(`${before.slice(0, from)}${words}${before.slice(selectionEnd ?? from)}`, from + words.length);
          place.current = from + words.length;
        }}
        onKeyDown={onKeyDown}
      />
      {text === "" ? (
        <kbd class="kit-key runs-filter-key" aria-hidden="true">
          /
        </kbd>
      ) : (
        <button type="button" class="runs-filter-clear" aria-label="Clear the filter" onClick={() => finish("")}>
          ✕
        </button>
      )}
      <ul class="runs-suggestions" id={list} role="listbox" aria-label="Suggestions" hidden={suggestions.length === 0}>
        {suggestions.map((suggestion, index) => (
          <li
            key={suggestion.label}
            id={`${list}-${index}`}
            role="option"
            aria-selected={index === chosen}
            // Not the click: the box would lose the focus before.
            onPointerDown={(event) => {
              event.preventDefault();
              take(suggestion);
            }}
          >
            <code>{suggestion.label}</code>
            <span>{suggestion.detail}</span>
          </li>
        ))}
      </ul>
      {problems.length > 0 && (
        <p class="runs-problem" id={`${list}-problem`} role="alert">
          {problems.slice(0, SHOWN_PROBLEMS).map((problem) => (
            <span key={problem}>{problem} </span>
          ))}
        </p>
      )}
    </div>
  );
}
