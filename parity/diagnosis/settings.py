"""Switches of the diagnosis: turning a heuristic off in a campaign of faults (`--without`) measures its worth."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType

__all__ = ["HEURISTICS", "enabled", "without"]

HEURISTICS: Mapping[str, str] = MappingProxyType(
    {
        # Localisation by traces
        "traces": "find the operation at which the two traces diverge, and follow its operands back",
        "blame_argument": "blame a caller that passes an argument under another name",
        "blame_constant": "blame the line that holds a differing constant",
        "blame_operand": "follow differing operands back, on both sides in step",
        "whole_values": "match whole values where matching numbers one by one finds no divergence",
        "shrink": "trace the smallest input that still fails",
        "default_values": "name the line that gives a default value which an output repeats",
        # Order of the search
        "repairs": "try mutations",
        "divergence_first": "mutate the lines first that make something wrong out of what is right",
        "draws_first": "mutate early the line of the draw at which the sides diverge",
        "ochiai": "mutate early the lines that lead to differing outputs and to few others",
        "coverage": "mutate late the lines that earlier components execute as well",
        "unread_first": "mutate early the functions that do not read what they are given",
        "surroundings": "mutate the conditions around a line and the module's variables that it reads as well",
        "telling_constants": "try first the constants that the two texts speak for",
        "inert": "give up a statement of which many mutations change no output",
        # Mutation operators
        "booleans": "the other truth value",
        "reference_numbers": "a number of the reference for a constant",
        "near_numbers": "a constant negated, halved, doubled, one more, one less",
        "reference_strings": "a string of the reference for another",
        "names_for_constants": "a local name for a constant",
        "unread_for_constants": "an attribute, argument or setting that nothing reads for a constant",
        "left_out_operands": "one operand of an operation alone",
        "arithmetic": "another arithmetic operator",
        "exchanged_operands": "the operands of a difference or quotient exchanged",
        "regrouped_operands": "two operations in the other order",
        "signs": "a sign or a negation left out",
        "comparisons": "another comparison",
        "conditions": "one part of a condition, a condition negated or decided",
        "branches": "one branch of a conditional expression",
        "exchanged_arguments": "two arguments of a call exchanged",
        "left_out_arguments": "the last argument of a call left out",
        "exchanged_keywords": "two keyword arguments computed in the other order",
        "names_for_arguments": "a local array for an argument that is computed",
        "unread_arguments": "what nothing reads, passed by keyword",
        "left_out_calls": "what a call is made on, or its first argument, alone",
        "reference_methods": "another method, called as in the reference",
        "reference_functions": "another function that the reference calls",
        "left_out_keywords": "a keyword argument left out",
        "added_keywords": "a keyword argument of the reference, of the function's other calls, or a switch, added",
        "alike_names": "another local name of the same kind",
        "other_arrays": "another local array of another shape",
        "indexed_names": "a local array indexed by another",
        "attributes_for_names": "an attribute for a local name",
        "counted_from": "a counter one more or one less in a comparison or a remainder",
        "in_place": "a method that works in place exchanged with one that does not",
        "alike_functions": "a function of the same module with a similar name",
        "names_for_attributes": "a local name for an attribute",
        "used_attributes": "another attribute that the file reads of the object",
        "declared_fields": "another field that the object's class declares",
        "indices": "an index left out, one more, one less, or another name",
        "slices": "other bounds of a slice",
        "repeated_elements": "an element of a sequence repeated",
        "exchanged_elements": "two elements of a sequence exchanged",
        "indexed_elements": "an element indexed as its neighbour is",
        "treated_elements": "an element treated by its neighbour's method",
        "unpacked_elements": "a starred element alone",
        "exchanged_values": "two values of a dictionary exchanged",
        "shortened_elements": "a starred element without its first or last item",
        "exchanged_names": "two local names of a statement exchanged",
        "augmented": "another operator of an augmented assignment",
        "accumulated": "a sum that is assigned instead of added to",
        "left_out_statements": "a statement left out",
        "chained_in_place": "one more step of a chain in place",
        "exchanged_targets": "two targets of an assignment exchanged",
        "wrapped": "a factor 2, a sign, a root, a square or a shift by 1 around an expression",
        "small_numbers": "a small number of the reference added",
        "wrapped_unread": "what nothing reads, combined with an expression",
        "wrapped_functions": "a function of the reference around an expression",
        "wrapped_methods": "a method of the reference called on an expression",
        "added_terms": "a term or factor at hand added to what a statement computes",
        "exchanged_statements": "a statement exchanged with the next one",
        "added_seeding": "a call of a module's function that the reference makes and the candidate lacks",
        "added_methods": "a method call that the reference makes and the candidate lacks",
        "uncalled_functions": "a call of a function that nothing calls",
        "neighbouring_methods": "a call of another method beside one of the same object",
    }
)
"""Names of the heuristics and what each does."""

_off: frozenset[str] = frozenset()


def enabled(name: str) -> bool:
    """True unless the heuristic is turned off."""
    return name not in _off


@contextmanager
def without(names: Collection[str]) -> Iterator[None]:
    """Turn heuristics off inside. Raises ValueError for a name that is none."""
    global _off
    unknown = sorted(set(names) - HEURISTICS.keys())
    if unknown:
        raise ValueError(f"no heuristic of the diagnosis: {', '.join(unknown)}")
    before, _off = _off, _off | frozenset(names)
    try:
        yield
    finally:
        _off = before
