"""The shop: a cart that outlives the sign-in."""

from django.http import HttpResponseBadRequest
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

GOODS = ("apple", "bread", "cheese")


def shop(request):
    return render(request, "shop/shop.html", {"goods": GOODS, "cart": request.session.get("cart", [])})


@require_POST
def add(request):
    if request.POST.get("thing") not in GOODS:
        return HttpResponseBadRequest("The shop does not have that.")
    request.session.setdefault("cart", []).append(request.POST["thing"])  # noticed, without session.modified
    return redirect("shop")
