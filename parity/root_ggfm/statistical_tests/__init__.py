"""Agreement in law: where draws differ by design, both sides are tested against closed forms and each other."""

__all__: list[str] = []
