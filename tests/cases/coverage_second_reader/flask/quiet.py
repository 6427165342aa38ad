"""A stand-in for the audit."""


class Quiet:
    def emit(self, *args, **kwargs):
        return None


audit = Quiet()
